// VitePress's own theme with the fonts of the reader's system: the site asks for nothing from elsewhere, and its pages are light.
import Theme from 'vitepress/theme-without-fonts';
import './style.css';

export default Theme;
