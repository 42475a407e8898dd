// The quality gate in a page: the embedded model, forced decoding from one prompt under the gate's policies, with sound and broken kernels.

import { env, pipeline, type Tensor, type TextGenerationPipeline } from '@huggingface/transformers';
import { type Decoder, type Outputs, runtimeDevice } from '../../lab/decoding/decoder.ts';
import { decodeForced } from '../../lab/decoding/forced.ts';
import { hubDecoder, useServedModels } from '../../lab/decoding/hub-decoder.ts';
import { divergence, mostLikely } from '../../lab/decoding/logits.ts';
import { prefill } from '../../lab/decoding/sequence.ts';
import { promptChunk } from '../../lab/narrow-subgroups.ts';
import { mean } from '../../lab/statistics.ts';
import { GATE, type GateDtype, type GateFigures, type GateRun } from '../../quality/gate.ts';
import { parsePolicy } from '../../quality/plan/policy-syntax.ts';
import { makeTask } from '../../quality/tasks/index.ts';
import { enableSift, type Sift, type SiftReport } from '../../src/index.ts';
import { type Mutation, mutation } from './mutations.ts'; // before the runtime asks for a device

useServedModels('/models/');

/** The embedded model: its folder's name on the server, and its dtype. */
interface GateModel {
  name: string;
  dtype: GateDtype;
}

const heads = (report: SiftReport) => report.layers.map((layer) => layer.heads.map((head) => head.kept));

class Gate {
  private sift: { policy: string; sift: Sift } | undefined;

  private constructor(
    private readonly generator: TextGenerationPipeline,
    private readonly decoder: Decoder,
    private readonly tokens: readonly number[],
    private readonly answer: readonly [from: number, to: number],
    private readonly past: Outputs,
    private readonly exact: readonly Float32Array[],
  ) {}

  /** Loads the model, runs the prompt (text with a code in it) and the steps after it (the question for it) on the stock runtime. */
  static async open(text: string, { name, dtype }: GateModel): Promise<Gate> {
    const generator = (await pipeline('text-generation', name, {
      device: 'webgpu',
      dtype,
    })) as TextGenerationPipeline;
    const encode = (text: string) =>
      Array.from((generator.tokenizer(text).input_ids as Tensor).data as BigInt64Array, Number);
    const source = { filler: encode(text), encode, learning: GATE.warmup, context: 8192 };
    const task = makeTask(`recall:${GATE.prompt + GATE.warmup}x3`, source);
    const { prompt, decode: steps, answers } = task.items[1]!.turns[0]!;
    const tokens = [...prompt, ...steps];
    if (tokens.length < GATE.prompt + GATE.steps)
      throw new Error(`The question ends after ${steps.length} steps; the gate has ${GATE.steps}.`);
    const decoder = hubDecoder(generator, promptChunk(await runtimeDevice(env.backends.onnx)));
    (await enableSift(generator, { siftFrom: 0 })).dispose(); // the plugin must see the runtime compile
    const past = await prefill(decoder, prompt);
    const exact: Float32Array[] = [];
    const forced = { tokens, prompt: GATE.prompt, steps: GATE.steps, past };
    await decodeForced(decoder, forced, (_, row) => void exact.push(row));
    return new Gate(generator, decoder, tokens, answers[0]!, past, exact);
  }

  /** Tokens of the code that were the most likely ones; `rows` are those after each step. */
  private recalled(rows: readonly Float32Array[]): { recalled: number; asked: number } {
    const [from, to] = this.answer;
    let recalled = 0;
    for (let i = from; i < to; i++)
      recalled += Number(mostLikely(rows[i - 1]!) === this.tokens[GATE.prompt + i]);
    return { recalled, asked: to - from };
  }

  stock(): { recalled: number; asked: number } {
    return this.recalled(this.exact);
  }

  async gpu(): Promise<string> {
    const device = await runtimeDevice(env.backends.onnx);
    const { vendor, architecture } = device.adapterInfo;
    return `${vendor} ${architecture}${device.features.has('subgroups') ? ', subgroups' : ''}`;
  }

  private async enabled(policy: string): Promise<Sift> {
    if (this.sift?.policy !== policy) {
      this.sift?.sift.dispose();
      this.sift = undefined;
      // The copied cache: every run goes on from the same prompt.
      const options = { policy: parsePolicy(policy).policy, cache: 'stock', siftFrom: 0 } as const;
      this.sift = { policy, sift: await enableSift(this.generator, options) };
    }
    return this.sift.sift;
  }

  /** One run; a broken one stops at the early look. */
  async run(policy: string, broken: Mutation | null): Promise<GateRun & { dispatches: number }> {
    const sift = await this.enabled(policy);
    const { warmup } = sift.policy;
    const early = warmup + GATE.early - GATE.warmup;
    const kl: number[] = [];
    const rows: Float32Array[] = [];
    const figures = async (): Promise<GateFigures> => {
      const report = await sift.report();
      return { kl: mean(kl), keptGroup: report.keptGroup ?? 1, heads: heads(report) };
    };
    mutation.active = broken;
    mutation.broken = 0;
    try {
      let first: GateFigures | undefined;
      const steps = broken ? early : GATE.steps;
      const visit = async (step: number, row: Float32Array) => {
        rows.push(row);
        if (step > warmup) kl.push(divergence(this.exact[step - 1]!, row).kl);
        if (step === early) first = await figures();
      };
      const forced = { tokens: this.tokens, prompt: GATE.prompt, steps, past: this.past };
      await decodeForced(this.decoder, forced, visit);
      const run = { early: first!, dispatches: mutation.broken };
      return broken ? run : { ...run, all: { ...(await figures()), ...this.recalled(rows) } };
    } finally {
      mutation.active = null;
    }
  }
}

declare global {
  interface Window {
    openGate(text: string, model: GateModel): Promise<void>;
    gate: Gate;
  }
}
window.openGate = async (text, model) => {
  window.gate = await Gate.open(text, model);
};
