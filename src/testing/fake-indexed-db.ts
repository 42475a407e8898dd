/** How a browser's storage can fail. */
export type StorageFailure =
  /** Opening is refused, as in some private modes. */
  | 'refused'
  /** Asking to open already throws, as where storage is switched off. */
  | 'throws'
  /** Opening is never answered. */
  | 'silent'
  /** What is written is not taken, as where the quota is used up. */
  | 'full'
  /** There is a database of this name with other contents. */
  | 'foreign';

interface FakeRequest {
  result: unknown;
  onsuccess?: () => void;
  onerror?: () => void;
  onupgradeneeded?: () => void;
}

/**
 * As much of IndexedDB as the plugin uses, without a browser. Transactions run one after another, and what is
 * stored is copied, as there.
 */
export class FakeIndexedDb {
  /** The values of each store by their keys; undefined until the database is made. */
  stores: Map<string, Map<string, unknown>> | undefined;
  failure: StorageFailure | undefined;
  /** Connections that are open. */
  connections = 0;
  /** Settles when the transactions up to now are over. */
  private transactions = Promise.resolve();

  /** All values of all stores. */
  get values(): unknown[] {
    return [...(this.stores?.values() ?? [])].flatMap((store) => [...store.values()]);
  }

  open(): FakeRequest {
    if (this.failure === 'throws') throw new Error('storage is switched off (made by the test)');
    const request: FakeRequest = { result: undefined };
    if (this.failure !== 'silent') queueMicrotask(() => this.answer(request));
    return request;
  }

  private answer(request: FakeRequest): void {
    if (this.failure === 'refused') {
      request.onerror?.();
      return;
    }
    request.result = {
      createObjectStore: (name: string) => this.stores?.set(name, new Map()),
      transaction: (name: string) => this.transaction(name),
      close: () => {
        this.connections--;
      },
    };
    this.connections++;
    if (!this.stores) {
      this.stores = new Map();
      if (this.failure !== 'foreign') request.onupgradeneeded?.();
    }
    request.onsuccess?.();
  }

  private transaction(name: string) {
    const store = this.stores?.get(name);
    if (!store) throw new Error('there is no such store (made by the test)');
    const work: (() => void)[] = [];
    const later = (perform: () => unknown): FakeRequest => {
      const request: FakeRequest = { result: undefined };
      work.push(() => {
        request.result = perform();
        request.onsuccess?.();
      });
      return request;
    };
    const transaction: { objectStore(): object; oncomplete?: () => void; onabort?: () => void } = {
      objectStore: () => ({
        get: (key: string) => later(() => structuredClone(store.get(key))),
        put: (value: unknown, key: string) => {
          const copy = structuredClone(value);
          return later(() => {
            if (this.failure === 'full') throw new Error('the quota is used up (made by the test)');
            store.set(key, copy);
          });
        },
      }),
    };
    this.transactions = this.transactions.then(async () => {
      try {
        for (let next = work.shift(); next; next = work.shift()) {
          await Promise.resolve();
          next();
        }
        transaction.oncomplete?.();
      } catch {
        transaction.onabort?.();
      }
    });
    return transaction;
  }
}
