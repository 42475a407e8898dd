/** Tests that take minutes on the software adapter: at night, by `npm run test:nightly`, and on a GPU, where they take seconds. */
export const longRuns = process.env.SIFT_NIGHTLY === '1' || process.env.SIFT_GPU === '1';
