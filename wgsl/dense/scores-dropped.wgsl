// For the dense kernel of steps that do not learn: nothing needs the scores.

fn store_scores(p: ptr<function, PerHead>, head0: u32, heads: u32, key: u32, end: u32, lane: u32) {}
