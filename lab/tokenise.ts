// npx tsx lab/tokenise.ts MODEL_DIR TEXT OUT: token ids as u16, each document followed by token 0.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { AutoTokenizer, env } from '@huggingface/transformers';

const [model, text, out] = process.argv.slice(2);
if (!model || !text || !out) throw new Error('usage: tokenise.ts MODEL_DIR TEXT OUT');
env.allowRemoteModels = false;
env.localModelPath = dirname(resolve(model));
const tokenizer = await AutoTokenizer.from_pretrained(basename(resolve(model)));
const documents = readFileSync(text, 'utf8').split('\n<|endoftext|>\n');
const ids = documents.flatMap((document) => [...tokenizer.encode(document), 0]);
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, Uint16Array.from(ids));
console.log(`${documents.length} documents, ${ids.length} tokens`);
