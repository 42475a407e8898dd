// npx tsx quality/study/tasks.ts MODEL_DIR TOKENS OUT: the recall tasks as tokens, for the PyTorch study. TOKENS: lab/tokenise.ts's file.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { AutoTokenizer, env } from '@huggingface/transformers';
import { makeTask, taskNames } from '../tasks/index.ts';

const [model, tokens, out] = process.argv.slice(2);
if (!model || !tokens || !out) throw new Error('usage: tasks.ts MODEL_DIR TOKENS OUT');
env.allowRemoteModels = false;
env.localModelPath = dirname(resolve(model));
const tokenizer = await AutoTokenizer.from_pretrained(basename(resolve(model)));
const bytes = readFileSync(tokens);
const ids = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
const source = {
  // Token 0 ends a document.
  filler: [...ids].filter((id) => id !== 0),
  encode: (text: string) => [...tokenizer.encode(text)],
  // Steps of text before the first question, as many as the sequences have before the steps that count.
  learning: 64,
  context: 8192,
};
const recall = taskNames('all', source.context).filter((name) => name.startsWith('recall'));
// Recall has one turn.
const tasks = recall.map((name) => [name, makeTask(name, source).items.map(({ turns }) => turns[0])]);
writeFileSync(out, JSON.stringify(Object.fromEntries(tasks)));
console.log(`${recall.length} tasks`);
