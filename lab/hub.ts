// A stand-in of the model hub on this machine, so that a page that loads a model of the hub can be run without a network.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileOf, type ModelFile } from './random-model/model-file.ts';
import type { RandomModel } from './random-model/random-model.ts';

/** Where transformers.js looks for models. */
const HOST = 'huggingface.co';

export interface Hub {
  /** What a Chromium is started with, so that it takes this server for the hub. */
  args: string[];
  /** Paths that were asked for and are none of a model. */
  missing: string[];
  close(): Promise<void>;
}

/** A template for one message of the user, for tokenizers that have none. */
const CHAT = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";

/** The files of a random model with a chat template, as a model that chats has them. */
export function withChat({ files }: Pick<RandomModel, 'files'>): ReadonlyMap<string, ModelFile> {
  const name = 'tokenizer_config.json';
  const bytes = [...files.get(name)!.chunks()].flatMap((chunk) => [...chunk]);
  const config = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes)));
  const text = JSON.stringify({ ...config, chat_template: CHAT });
  return new Map([...files, [name, fileOf(new TextEncoder().encode(text))]]);
}

/**
 * Starts a server that has models under the addresses of the hub. It makes a certificate of its own, with the program `openssl`.
 *
 * @param models - files by path, by the model's id on the hub
 */
export async function startHub(models: ReadonlyMap<string, ReadonlyMap<string, ModelFile>>): Promise<Hub> {
  const missing: string[] = [];
  const server = createServer(certificate(), (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', `https://${HOST}`).pathname);
    const [, id = '', name = ''] = /^\/(.+?)\/resolve\/[^/]+\/(.+)$/.exec(path) ?? [];
    const file = models.get(id)?.get(name);
    response.setHeader('Access-Control-Allow-Origin', '*');
    if (!file) {
      missing.push(path);
      response.statusCode = 404;
      return void response.end();
    }
    response.setHeader('Content-Length', file.bytes);
    if (request.method === 'HEAD') return void response.end();
    // Chunks may be views of memory that is written again, so each is copied.
    const copies = function* () {
      for (const chunk of file.chunks()) yield chunk.slice();
    };
    Readable.from(copies(), { objectMode: false }).pipe(response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return {
    args: [`--host-resolver-rules=MAP ${HOST}:443 127.0.0.1:${port}`, '--ignore-certificate-errors'],
    missing,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

/** A certificate for a day that nobody has signed. */
function certificate(): { key: Buffer; cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'hub-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')] as const;
  const names = ['-subj', `/CN=${HOST}`, '-days', '1'];
  try {
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...names, '-keyout', key, '-out', cert],
      { stdio: 'ignore' },
    );
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
