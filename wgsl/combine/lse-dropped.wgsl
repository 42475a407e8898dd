// For runtimes that do not merge attentions: nothing needs the log-sum-exp.

fn store_lse(head: u32, softmax: vec2f) {}
