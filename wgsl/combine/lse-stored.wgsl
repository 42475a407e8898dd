// The log-sum-exp of every head's scores, in base 2: m + log2(sum of 2^(s - m)) with scores that are scaled by log2(e). Runtimes with a paged
// cache merge partial attentions by it.
// softmax: (max, sum) of natural exponents.

fn store_lse(head: u32, softmax: vec2f) { lse[head] = softmax.x * 1.4426950408889634 + log2(softmax.y); }
