// Place i of n places that are spread evenly over `length`: floor((2i + 1) * length / 2n). The product itself could overflow, so the
// quotient and the remainder of length / 2n are multiplied separately.

fn spread(i: u32, n: u32, length: u32) -> u32 {
  let a = 2u * i + 1u;
  let m = 2u * max(n, 1u);
  return a * (length / m) + (a * (length % m)) / m;
}
