const DATABASE = 'sift-attention';
const STORE = 'calibrations';

/**
 * Milliseconds after which storage is given up for the rest of this page's or worker's life. A browser may
 * never answer the opening of a database.
 */
const PATIENCE = 5000;

let hangs = false;

/**
 * Reads a value that the pages and workers of this origin share, in IndexedDB, and replaces it if that is asked
 * for. Between reading and replacing nobody else can write it.
 *
 * It never rejects. Where storage is missing, blocked, full or broken, or does not answer, there is no value.
 *
 * @param key the value's own
 * @param change gets what is stored (undefined: nothing), and returns what is to be stored; default: nothing is
 * @returns what is stored then; undefined if there is nothing, or if anything failed
 */
export function sharedValue(key: string, change?: (stored: unknown) => unknown): Promise<unknown> {
  return new Promise((resolve) => {
    let database: IDBDatabase | undefined;
    let value: unknown;
    const end = (result?: unknown) => {
      clearTimeout(timer);
      database?.close();
      resolve(result);
    };
    const timer = setTimeout(() => {
      hangs = true;
      end();
    }, PATIENCE);
    const attempt = (work: () => void) => () => {
      try {
        work();
      } catch {
        end();
      }
    };
    attempt(() => {
      if (hangs || typeof indexedDB === 'undefined') return end();
      // Without a version, a database that a later version of the plugin has made is opened, too.
      const opening = indexedDB.open(DATABASE);
      opening.onupgradeneeded = attempt(() => opening.result.createObjectStore(STORE));
      opening.onerror = () => end();
      opening.onsuccess = attempt(() => {
        database = opening.result;
        if (hangs) return end();
        const transaction = database.transaction(STORE, change ? 'readwrite' : 'readonly');
        const store = transaction.objectStore(STORE);
        const reading = store.get(key);
        reading.onsuccess = attempt(() => {
          value = reading.result;
          if (!change) return;
          value = change(value);
          store.put(value, key);
        });
        transaction.oncomplete = () => end(value);
        transaction.onabort = () => end();
      });
    })();
  });
}
