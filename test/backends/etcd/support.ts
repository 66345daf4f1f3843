import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { Etcd3 } from 'etcd3';
import {
  asyncScheduler,
  firstValueFrom,
  lastValueFrom,
  Observable,
  ReplaySubject,
  type Subscription,
  shareReplay,
  switchMap,
} from 'rxjs';
import type { Backend, EntryRequest, Place, RosterKey } from '../../../src/backends/backend.js';
import { etcdStore } from '../../../src/backends/etcd/etcd-store.js';
import { type EtcdOptions, etcd } from '../../../src/backends/etcd/index.js';
import { timingOf } from '../../../src/backends/shared/options.js';
import { orThrow } from '../../../src/backends/shared/or-throw.js';
import type { StandRequest, StoreSession } from '../../../src/backends/store.js';
import { firstWithin } from '../../../src/testing/processes/until.js';

export const exclusive: EntryRequest = { mode: 'exclusive', permits: 1, payload: new Uint8Array() };

export const lock = (name: string): RosterKey => ({ kind: 'lock', name });

/** Backends that are closed at the end of the test, on the members behind these ports. */
export class Backends implements AsyncDisposable {
  readonly #made: Backend[] = [];

  make(port: number | readonly number[], options: EtcdOptions = {}): Backend {
    const hosts = [port].flat().map((each) => `127.0.0.1:${each}`);
    return this.#keep({ hosts, ...options });
  }

  over(client: Etcd3): Backend {
    return this.#keep({ client });
  }

  #keep(options: EtcdOptions): Backend {
    const backend = etcd({ ttlMs: 3_000, closeTimeoutMs: 500, maxBackoffMs: 300, ...options });
    this.#made.push(backend);
    return backend;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#made.map((backend) => backend.close()));
  }
}

/** One participation, with all that it has told. */
export class Stay {
  readonly places$ = new ReplaySubject<Place>();
  readonly #subscription: Subscription;

  constructor(backend: Backend, roster: RosterKey, request: EntryRequest = exclusive) {
    this.#subscription = backend.enter(roster, request).subscribe(this.places$);
  }

  admitted(limitMs = 5_000): Promise<Place> {
    return firstWithin(this.places$, ({ admitted }) => admitted, limitMs, 'admission');
  }

  waiting(limitMs = 5_000): Promise<Place> {
    return firstWithin(this.places$, ({ admitted }) => !admitted, limitMs, 'a place in line');
  }

  /** What the stay has failed with. */
  async failure(limitMs = 5_000): Promise<unknown> {
    const ending = new Observable<{ error: unknown }>((subscriber) =>
      this.places$.subscribe({ error: (error) => subscriber.next({ error }), complete: () => subscriber.complete() }),
    );
    return (await firstWithin(ending, () => true, limitMs, 'a failure')).error;
  }

  leave(): void {
    this.#subscription.unsubscribe();
  }
}

export function live(backend: Backend, limitMs = 10_000): Promise<unknown> {
  return firstWithin(backend.session$, ({ state }) => state === 'live', limitMs, 'a live session');
}

/** What etcdctl prints. */
export async function etcdctl(port: number, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('etcdctl', ['--endpoints', `127.0.0.1:${port}`, ...args], {
    env: { ...process.env, ETCDCTL_API: '3' },
  });
  return stdout.trim();
}

/** `etcdctl lock`, from its start until it is disposed of. */
export class EtcdctlLock implements AsyncDisposable {
  /** Emits the key once it is held. */
  readonly held$ = new ReplaySubject<string>();
  readonly #child;
  readonly #ended: Promise<unknown>;

  constructor(port: number, name: string) {
    this.#child = spawn('etcdctl', ['--endpoints', `127.0.0.1:${port}`, 'lock', name], {
      env: { ...process.env, ETCDCTL_API: '3' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child.stdout.on('data', (chunk: Buffer) => this.held$.next(chunk.toString().trim()));
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
  }
}

/** Switches users on: `root:secret`, and others with the password `pass`, each with what `grant-permission` is given. */
export async function enableUsers(
  port: number,
  users: Readonly<Record<string, readonly (readonly string[])[]>> = {},
): Promise<void> {
  await etcdctl(port, 'user', 'add', 'root:secret');
  await etcdctl(port, 'user', 'grant-role', 'root', 'root');
  for (const [name, permissions] of Object.entries(users)) {
    await etcdctl(port, 'role', 'add', name);
    for (const permission of permissions) await etcdctl(port, 'role', 'grant-permission', name, ...permission);
    await etcdctl(port, 'user', 'add', `${name}:pass`);
    await etcdctl(port, 'user', 'grant-role', name, name);
  }
  await etcdctl(port, 'auth', 'enable');
}

/** Opens one session of the adapter, without the kernel: nothing is renewed or repeated but by the test. */
export async function openSession(options: EtcdOptions): Promise<StoreSession & AsyncDisposable> {
  const timing = orThrow(timingOf({ ttlMs: 20_000, ...options }));
  const context = { timing, newId, now: () => performance.now(), scheduler: asyncScheduler, fault: () => undefined };
  const opened$ = etcdStore(options).pipe(
    switchMap((store) => store.open(context)),
    shareReplay(1),
  );
  const running = opened$.subscribe();
  const session = await firstValueFrom(opened$);
  return Object.assign(session, {
    async [Symbol.asyncDispose]() {
      await lastValueFrom(session.end(false), { defaultValue: undefined }).catch(() => undefined);
      running.unsubscribe();
    },
  });
}

export const newId = (): string => randomUUID().replaceAll('-', '');

export function standRequest(): StandRequest {
  return { ...exclusive, id: newId(), registered: false, sent: () => undefined };
}

type Transaction = Etcd3['kv']['txn'];

/**
 * A client whose transactions get lost on the way, as they do between a client and a server that is paused or cut off:
 * one is carried out and its answer lost, or it arrives later, when nobody waits for it any more.
 */
export class LossyClient implements Disposable {
  readonly client: Etcd3;
  /** Leases that are to be revoked live on. */
  keepsLeases = false;
  readonly #etcd: Etcd3;
  #next: ((carryOut: () => ReturnType<Transaction>) => void) | undefined;

  constructor(port: number) {
    const etcd = new Etcd3({ hosts: `127.0.0.1:${port}` });
    const txn: Transaction = (request) => {
      const carryOut = (): ReturnType<Transaction> => etcd.kv.txn(request);
      const lose = this.#next;
      this.#next = undefined;
      if (lose === undefined) return carryOut();
      lose(carryOut);
      return new Promise(() => undefined);
    };
    const leaseRevoke: Etcd3['leaseClient']['leaseRevoke'] = (request) =>
      this.keepsLeases ? new Promise(() => undefined) : etcd.leaseClient.leaseRevoke(request);
    this.#etcd = etcd;
    this.client = over(etcd, {
      kv: over(etcd.kv, { txn }),
      leaseClient: over(etcd.leaseClient, { leaseRevoke }),
    });
  }

  /** Asks, and has the next transaction carried out, but not answered. */
  async unanswered(asked: Observable<unknown>): Promise<void> {
    await (await this.#lost(asked))();
  }

  /** Asks, and holds the next transaction back, until what it returns is called. */
  held(asked: Observable<unknown>): Promise<() => Promise<unknown>> {
    return this.#lost(asked);
  }

  async #lost(asked: Observable<unknown>): Promise<() => Promise<unknown>> {
    const lost = new Promise<() => Promise<unknown>>((told) => {
      this.#next = told;
    });
    // As the kernel does, when it has waited for long enough.
    const asking = asked.subscribe();
    const carryOut = await lost;
    asking.unsubscribe();
    return carryOut;
  }

  [Symbol.dispose](): void {
    this.#etcd.close();
  }
}

/** A client whose streams of watches may be paused: what is told meanwhile arrives afterwards, and everything else as ever. */
export class PausedWatches implements Disposable {
  readonly client: Etcd3;
  readonly #etcd: Etcd3;
  readonly #streams: Readable[] = [];

  constructor(port: number) {
    this.#etcd = new Etcd3({ hosts: `127.0.0.1:${port}` });
    const watch: Etcd3['watchClient']['watch'] = async (options) => {
      const stream = await this.#etcd.watchClient.watch(options);
      // What gRPC makes is a stream of Node's, though etcd3's types do not tell.
      this.#streams.push(stream as unknown as Readable);
      return stream;
    };
    const watchClient = over(this.#etcd.watchClient, { watch });
    this.client = over(this.#etcd, { watchClient });
  }

  pause(): void {
    for (const stream of this.#streams) stream.pause();
  }

  resume(): void {
    for (const stream of this.#streams) stream.resume();
  }

  [Symbol.dispose](): void {
    this.#etcd.close();
  }
}

/** How a transaction that only reads is to be answered: by the member alone, or by the cluster. */
export type ReadKind = 'serializable' | 'linearizable';

/** A client that counts what kinds of reads its transactions are, and may ask another member for what one member answers alone. */
export class CountedReads implements Disposable {
  readonly client: Etcd3;
  readonly kinds: ReadKind[] = [];
  readonly #clients: readonly Etcd3[];

  constructor(port: number, serializableAt: number = port) {
    const [etcd, other] = [port, serializableAt].map((each) => new Etcd3({ hosts: `127.0.0.1:${each}` })) as [
      Etcd3,
      Etcd3,
    ];
    const txn: Transaction = (request, options) => {
      const kind = kindOf(request);
      if (kind !== undefined) this.kinds.push(kind);
      return (kind === 'serializable' ? other : etcd).kv.txn(request, options);
    };
    this.#clients = [etcd, other];
    this.client = over(etcd, { kv: over(etcd.kv, { txn }) });
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }
}

/** Undefined for what writes. One read that is linearizable makes all of them so. */
function kindOf({ compare = [], success = [], failure = [] }: Parameters<Transaction>[0]): ReadKind | undefined {
  const operations = [...success, ...failure];
  if (compare.length > 0 || !operations.every(({ request_range }) => request_range !== undefined)) return undefined;
  return operations.every(({ request_range }) => request_range?.serializable) ? 'serializable' : 'linearizable';
}

function over<T extends object>(target: T, changed: Partial<T>): T {
  return new Proxy(target, { get: (_, name) => Reflect.get(Object.hasOwn(changed, name) ? changed : target, name) });
}
