import { expect, test } from 'vitest';
import { LifeCycle } from '../shared/life-cycle.ts';
import type { HubModel, OrtSession, OrtTensor } from './runtime.ts';
import { SessionHook } from './session-hook.ts';
import { Trial } from './trial.ts';

/** What onnxruntime-web says to inputs on the CPU in a session with `enableGraphCapture`. */
const REFUSAL = 'External buffer must be provided for input/output index 0 when enableGraphCapture is true.';

test('a session that captures its graph refuses the trial: the error says so, and the session runs on', async () => {
  class Tensor {
    readonly location = 'cpu';
    constructor(
      readonly type: string,
      readonly data: BigInt64Array,
      readonly dims: number[],
    ) {}
  }
  class HubTensor {
    readonly ort_tensor: Tensor;
    constructor(type: string, data: BigInt64Array, dims: number[]) {
      this.ort_tensor = new Tensor(type, data, dims);
    }
  }
  const ran: unknown[] = [];
  const session: OrtSession = {
    inputNames: ['input_ids', 'attention_mask', 'past_key_values.0.key'],
    outputNames: [],
    run: (feeds) => {
      if (Object.values(feeds).some(({ location }) => location !== 'gpu-buffer'))
        return Promise.reject(new Error(REFUSAL));
      ran.push(feeds);
      return Promise.resolve({});
    },
    release: () => Promise.resolve(),
  };
  const own = session.run;
  const model = {
    config: { vocab_size: 100 },
    _update_model_kwargs_for_generation: () => ({
      input_ids: new HubTensor('int64', new BigInt64Array(1), [1, 1]),
    }),
    forward: (inputs: Record<string, { ort_tensor: OrtTensor }>) =>
      session.run(
        Object.fromEntries(Object.entries(inputs).map(([name, { ort_tensor }]) => [name, ort_tensor])),
      ),
  } as unknown as HubModel;
  const life = LifeCycle.begin(model, 'pipeline');
  const hook = new SessionHook(session, life);

  const trial = Trial.hold(model, hook, async (trial) => trial.decode(await trial.prompt(), []));
  await expect(trial).rejects.toMatchObject({
    code: 'UNSUPPORTED_MODEL',
    message: `The model could not be tried on a short text: ${REFUSAL}`,
  });
  life.dispose();
  expect(session.run).toBe(own);
  await session.run({ input_ids: { location: 'gpu-buffer' } as OrtTensor });
  expect(ran).toHaveLength(1);
});
