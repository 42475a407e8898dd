import { intercept } from '../../src/adapters/shared/interception.ts';
import { type ModelFile, readFile } from './model-file.ts';
import type { RandomModel } from './random-model.ts';

/** What is read of the object `env` of transformers.js 4, and its function that fetches files. */
export interface HubEnvironment {
  fetch: (input: string | URL, init?: RequestInit) => Promise<unknown>;
  localModelPath: string;
  remoteHost: string;
  remotePathTemplate: string;
}

/**
 * Has transformers.js find a model under a name as if it were on the hub, or on the page's own server, without a server. Other files are
 * fetched as before. The model's files do not get into the browser's cache.
 *
 * @param env - of the copy of transformers.js that is to load the model
 * @param name - such as `random/small`
 * @returns a function that ends it
 */
export function serveRandomModel(
  env: HubEnvironment,
  name: string,
  model: Pick<RandomModel, 'files'>,
): () => void {
  const interception = intercept(
    env,
    'fetch',
    (original, interception) =>
      async function (this: unknown, input, init) {
        const path = interception.active ? pathWithin(env, name, String(input)) : undefined;
        if (path === undefined) return original.call(this, input, init);
        const file = model.files.get(path);
        return file ? answer(file) : new Response(null, { status: 404 });
      },
  );
  return () => interception.remove();
}

/** The path of a file within a model's folder, if a URL is that of such a file. */
function pathWithin(env: HubEnvironment, name: string, url: string): string | undefined {
  const remote = env.remotePathTemplate.replaceAll('{model}', name).replaceAll('{revision}', 'main');
  const folders = [join(env.localModelPath, name), join(env.remoteHost, remote)].map((folder) =>
    join(folder, ''),
  );
  const folder = folders.find((folder) => url.startsWith(folder));
  return folder && url.slice(folder.length);
}

/** Joins two parts of a path as transformers.js does. */
const join = (a: string, b: string): string => `${a.replace(/\/$/, '')}/${b.replace(/^\//, '')}`;

/**
 * What transformers.js reads of a response. It is not a `Response` for two reasons: transformers.js stores each `Response` in the browser's
 * cache, where a gigabyte has no use, and the browser's `arrayBuffer()` of a stream takes the file's memory twice.
 */
function answer(file: ModelFile): Pick<Response, 'status' | 'ok' | 'headers' | 'body' | 'arrayBuffer'> {
  let body: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  return {
    status: 200,
    ok: true,
    headers: new Headers({ 'content-length': String(file.bytes) }),
    get body() {
      body ??= file.stream();
      return body;
    },
    arrayBuffer: async () => (await readFile(file)).buffer,
  };
}
