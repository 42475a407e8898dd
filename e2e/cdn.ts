// What a page asks of the network, answered by this machine: a CDN that serves npm packages, and the model hub.
import { existsSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { BrowserContext, Route } from 'playwright';
import { ROOT } from '../lab/root.ts';

const TYPES: Record<string, string> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** Answers as a CDN does: other sites may have the file. Without a file it is a 404. */
const answer = (route: Route, file: string | undefined, body?: Buffer) =>
  file && (body || existsSync(file))
    ? route.fulfill({
        body: body ?? readFileSync(file),
        contentType: TYPES[extname(file)] ?? 'application/octet-stream',
        headers: { 'access-control-allow-origin': '*' },
      })
    : route.fulfill({ status: 404, headers: { 'access-control-allow-origin': '*' } });

interface Manifest {
  version: string;
  jsdelivr?: string;
  main?: string;
}

/** The file of `NAME@VERSION/PATH`; undefined for another version than that which is installed. */
function packageFile(address: string, folders: Readonly<Record<string, string>>): string | undefined {
  const [, name = '', version, path] = /^((?:@[^/]+\/)?[^/@]+)@([^/]+)(?:\/(.*))?$/.exec(address) ?? [];
  const folder = folders[name] ?? join(ROOT, 'node_modules', name);
  if (!existsSync(join(folder, 'package.json'))) return undefined;
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
  if (version !== manifest.version) return undefined;
  return join(folder, path || manifest.jsdelivr || manifest.main || 'index.js');
}

/** The template of models that chat. */
const CHAT =
  "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

/**
 * Has the pages and workers of a browser reach this machine alone.
 *
 * @param packages - folders of packages that are not those of this repository
 * @returns requests to other places, which were refused
 */
export async function standIn(
  context: BrowserContext,
  packages: Readonly<Record<string, string>>,
): Promise<string[]> {
  const outside: string[] = [];
  await context.route('**/*', (route) => {
    const url = new URL(route.request().url());
    if (/^(blob|data):$/.test(url.protocol) || url.hostname === '127.0.0.1') return route.continue();
    const path = decodeURIComponent(url.pathname);
    if (url.hostname === 'cdn.jsdelivr.net' && path.startsWith('/npm/'))
      return answer(route, packageFile(path.slice('/npm/'.length), packages));
    // Whatever model is asked for, it is the embedded one. Models of `chat/` have a template for chats.
    const [, id = '', name] = /^\/(.+)\/resolve\/[^/]+\/(.+)$/.exec(path) ?? [];
    if (url.hostname === 'huggingface.co' && name) {
      const file = join(ROOT, 'models/tiny', name);
      if (name !== 'tokenizer_config.json' || !id.startsWith('chat/')) return answer(route, file);
      const config = { ...JSON.parse(readFileSync(file, 'utf8')), chat_template: CHAT };
      return answer(route, file, Buffer.from(JSON.stringify(config)));
    }
    outside.push(url.href);
    return route.abort();
  });
  return outside;
}
