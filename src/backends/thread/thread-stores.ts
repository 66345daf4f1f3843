import { defer, EMPTY, map, Observable, switchMap, take } from 'rxjs';
import type { Characteristics } from '../backend.js';
import type { Stores } from '../kernel/sharded-backend.js';
import type { BackendOptions } from '../shared/options.js';
import { MAX_STALL_MS, type RenewalOptions } from '../shared/renewal.js';
import type { Store, StoreContext, StoreSession } from '../store.js';
import type { ThreadedAdapter } from './messages.js';
import { RenewalThread } from './renewal-thread.js';
import { openIn } from './thread-session.js';

/** What stays on this side: the thread has a clock of its own, and payloads come to it as bytes. */
const HERE: ReadonlySet<string> = new Set(['codec', 'scheduler', 'renewal', 'maxStallMs']);

/** The stores of an adapter that runs in a thread, when that has loaded its client: one for each shard. */
export function threadStores(
  adapter: ThreadedAdapter,
  characteristics: Characteristics,
  options: BackendOptions & RenewalOptions,
  shards: number,
): Observable<Stores> {
  const crossing = Object.entries(options).filter(([name, value]) => value !== undefined && !HERE.has(name));
  const { maxStallMs = MAX_STALL_MS } = options;
  const threads = new Threads(() => new RenewalThread(adapter, Object.fromEntries(crossing), maxStallMs));
  const storeOf = (shard: number): Store => new ThreadStore(adapter, characteristics, shard, threads);
  const stores: Stores = [storeOf(0), ...Array.from({ length: shards - 1 }, (_, at) => storeOf(at + 1))];
  return threads.ready$.pipe(map(() => stores));
}

/** One thread at a time: after one that has died, or has not come to be, another when it is needed. */
class Threads {
  /** The one that is ready, once. One that nobody waits for any more before it is, ends. */
  readonly ready$: Observable<RenewalThread> = new Observable((subscriber) => {
    const thread = this.#thread?.isOver === false ? this.#thread : this.make();
    this.#thread = thread;
    this.#waiting += 1;
    subscriber.add(() => {
      this.#waiting -= 1;
      if (this.#waiting === 0 && !thread.isReady) thread.terminate();
    });
    subscriber.add(thread.ready$.subscribe(subscriber));
  });
  readonly #users = new Set<Store>();
  #thread: RenewalThread | undefined;
  #waiting = 0;

  constructor(private readonly make: () => RenewalThread) {}

  addressOf(shard: number): string {
    return this.#thread?.addresses[shard] ?? 'an address that its thread has not told';
  }

  use(store: Store): void {
    this.#users.add(store);
  }

  /** `store` opens nothing any more. After the last of them the thread ends. */
  release(store: Store): Observable<never> {
    this.#users.delete(store);
    return this.#users.size === 0 && this.#thread !== undefined ? this.#thread.end() : EMPTY;
  }
}

/** Opens its sessions in the thread. */
class ThreadStore implements Store {
  constructor(
    readonly name: ThreadedAdapter,
    readonly characteristics: Characteristics,
    private readonly shard: number,
    private readonly threads: Threads,
  ) {}

  get address(): string {
    return this.threads.addressOf(this.shard);
  }

  open(context: StoreContext): Observable<StoreSession> {
    return defer(() => {
      this.threads.use(this);
      return this.threads.ready$.pipe(
        take(1),
        switchMap((thread) => openIn(thread, this, this.shard, context)),
      );
    });
  }

  release(): Observable<never> {
    return this.threads.release(this);
  }
}
