// Rows of the shadow as lanes load them, where a plane has 64 channels.

alias Codes = vec4<u32>;
