/**
 * Error compensation while a matrix is rounded column by column (GPTQ: Frantar et al., arXiv 2210.17323). The
 * error that counts is that of the product with the matrix's typical inputs X, i.e. in the metric of XᵀX. Once
 * a column is rounded, the remaining columns move so as to cancel as much of its error as they can.
 */
export class Compensation {
  /** Number of columns. */
  readonly size: number;
  /** U with (XᵀX + damping)⁻¹ = UᵀU, upper triangular, row by row. */
  private readonly factor: Float64Array;

  /**
   * @param gram - XᵀX, row by row
   * @param damping - added to the diagonal, as a fraction of its mean: keeps directions that the inputs hardly
   *   show from taking all of the error
   */
  constructor(gram: Float64Array, damping = 0.01) {
    const n = Math.sqrt(gram.length);
    if (!Number.isInteger(n)) throw new Error(`A gram matrix is square; ${gram.length} is no square number`);
    const damped = Float64Array.from(gram);
    let trace = 0;
    for (let i = 0; i < n; i++) trace += damped[i * n + i]!;
    if (!(trace > 0)) throw new Error('The gram matrix is zero: the calibration text gave no activations');
    for (let i = 0; i < n; i++) damped[i * n + i]! += (damping * trace) / n;
    const lower = cholesky(inverse(cholesky(damped, n), n), n);
    this.size = n;
    this.factor = new Float64Array(n * n);
    for (let i = 0; i < n; i++) for (let j = i; j < n; j++) this.factor[i * n + j] = lower[j * n + i]!;
  }

  /** Spreads the rounding error of column `column` of a row over the columns right of it, in place. */
  spread(row: Float64Array, column: number, error: number): void {
    const { factor, size } = this;
    const base = column * size;
    const unit = error / factor[base + column]!;
    for (let k = column + 1; k < size; k++) row[k]! -= unit * factor[base + k]!;
  }
}

/** L, lower triangular, with matrix = L Lᵀ. */
function cholesky(matrix: Float64Array, n: number): Float64Array {
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= lower[i * n + k]! * lower[j * n + k]!;
      if (i === j && !(sum > 0)) throw new Error('The gram matrix is not positive definite');
      lower[i * n + j] = i === j ? Math.sqrt(sum) : sum / lower[j * n + j]!;
    }
  }
  return lower;
}

/** (L Lᵀ)⁻¹. */
function inverse(lower: Float64Array, n: number): Float64Array {
  // Row c of `columns` is column c of L⁻¹, so that the inner loops run along rows.
  const columns = new Float64Array(n * n);
  for (let c = 0; c < n; c++) {
    const column = columns.subarray(c * n, (c + 1) * n);
    column[c] = 1 / lower[c * n + c]!;
    for (let r = c + 1; r < n; r++) {
      let sum = 0;
      for (let k = c; k < r; k++) sum -= lower[r * n + k]! * column[k]!;
      column[r] = sum / lower[r * n + r]!;
    }
  }
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = i; k < n; k++) sum += columns[i * n + k]! * columns[j * n + k]!;
      out[i * n + j] = sum;
      out[j * n + i] = sum;
    }
  }
  return out;
}
