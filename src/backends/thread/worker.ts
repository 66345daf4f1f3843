import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { map, type Observable } from 'rxjs';
import type { Stores } from '../kernel/sharded-backend.js';
import { orThrow } from '../shared/or-throw.js';
import type { FromThread, ThreadData, ThreadedAdapter, ToThread } from './messages.js';
import { sentError } from './sent-error.js';
import { ServedSessions } from './served-sessions.js';
import { Pulse } from './shared-proof.js';

/* What runs in the thread: the adapter as it is, and a lease of the kernel for each of its sessions. */

type Load = (options: object) => Promise<Observable<Stores>>;

const adapters: Readonly<Record<ThreadedAdapter, Load>> = {
  redis: async (options) => (await import('../redis/redis-store.js')).redisStores(options),
  etcd: async (options) => {
    const { etcdStore } = await import('../etcd/etcd-store.js');
    return etcdStore(options).pipe(map((store): Stores => [store]));
  },
  zookeeper: async (options) => {
    const [{ resolveOptions }, { zookeeperStore }] = await Promise.all([
      import('../zookeeper/options.js'),
      import('../zookeeper/zookeeper-store.js'),
    ]);
    return zookeeperStore(orThrow(resolveOptions(options))).pipe(map((store): Stores => [store]));
  },
};

async function serve(port: MessagePort, { adapter, options, maxStallMs, pulse }: ThreadData): Promise<void> {
  const post = (message: FromThread): void => port.postMessage(message);
  const refused = (cause: unknown): void => post({ kind: 'refused', error: sentError(cause) });
  try {
    const stores$ = await adapters[adapter](withBuffers(options));
    stores$.subscribe({
      next: (stores) => {
        const sessions = new ServedSessions(stores, new Pulse(pulse), maxStallMs, post);
        port.on('message', (message: ToThread) => {
          // Nothing keeps the thread then but what is still on its way to the store.
          if (message.kind === 'release') port.close();
          else sessions.heed(message);
        });
        post({ kind: 'ready', addresses: stores.map(({ address }) => address) });
      },
      error: refused,
    });
  } catch (cause) {
    refused(cause);
  }
}

/** Copied into another thread, a `Buffer` is one no more, and clients ask for one. */
function withBuffers<T>(value: T): T;
function withBuffers(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return value.map((each) => withBuffers(each));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withBuffers(each)]));
}

if (parentPort !== null) void serve(parentPort, workerData as ThreadData);
