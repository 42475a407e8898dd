// No runtime merges partial attentions.

fn store_lse(head: u32, softmax: vec2f) {}
