// Rows of the shadow as lanes load them, where a plane has 32 channels.

alias Codes = vec2<u32>;
