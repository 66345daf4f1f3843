import { firstValueFrom, type Observable, ReplaySubject, switchMap } from 'rxjs';
import type { Backend, Entry, EntryRequest, Mode, Place, RosterKey } from '../../../src/backends/backend.js';
import type { CoordinationError } from '../../../src/backends/errors.js';
import { monotonicScheduler } from '../../../src/backends/kernel/clock.js';
import { type RedisOptions, redis } from '../../../src/backends/redis/index.js';
import { redisStores } from '../../../src/backends/redis/redis-store.js';
import { timingOf } from '../../../src/backends/shared/options.js';
import type { StandRequest, StoreContext, StoreSession } from '../../../src/backends/store.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { askRedis, type RedisOptions as ServerOptions, startRedis } from '../../../src/testing/servers/redis.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import type { TcpProxy } from '../../../src/testing/servers/tcp-proxy.js';

export const LOCK: RosterKey = { kind: 'lock', name: 'a/{b} c' };
export const TTL_MS = 1_000;

export function request(wish: Partial<EntryRequest> = {}): EntryRequest {
  return { mode: 'exclusive', permits: 1, payload: new Uint8Array(), ...wish };
}

/** A server that seems to have been up for long: the first who use it are not kept waiting. */
export async function startUsedRedis(options: ServerOptions = {}, ttlMs: number = TTL_MS): Promise<TestServer> {
  const server = await startRedis(options);
  await admitting(server, ttlMs);
  return server;
}

/** Waits until a new server admits somebody. */
async function admitting(server: TestServer, ttlMs: number = TTL_MS): Promise<void> {
  const url = new URL(server.url);
  const login = { username: url.username || undefined, password: url.password || undefined };
  const backend = redis({ host: server.host, port: server.port, ...login, ttlMs });
  try {
    await admitted(backend.enter({ kind: 'lock', name: 'first' }, request()), 3 * ttlMs + 2_000);
  } finally {
    await backend.close();
  }
}

/** Without it a replica waits for others to come before it is given the data. */
export const promptly = ['--repl-diskless-sync-delay', '0'];

/** A replica that has all data of `master` and follows it, over `link` if that is given. */
export async function startReplicaOf(
  master: TestServer,
  link: { host: string; port: number } = master,
  options: ServerOptions = {},
): Promise<TestServer> {
  const replica = await startRedis({ ...options, args: [...promptly, '--replicaof', link.host, `${link.port}`] });
  await untilFollowed(master);
  return replica;
}

/** Waits until the replica of `master` has all that was written. */
export async function untilFollowed(master: TestServer): Promise<void> {
  // It is online a little before it says what it has.
  const follows = async (): Promise<boolean> => {
    const info = await ask(master, 'INFO', 'replication');
    const [there, here] = [/state=online,offset=(\d+)/, /master_repl_offset:(\d+)/].map((one) => one.exec(info)?.[1]);
    return there !== undefined && there === here;
  };
  await until(follows, 20_000, 'a replica that has everything');
}

export interface Client extends AsyncDisposable {
  readonly backend: Backend;
  readonly faults: CoordinationError[];
}

export function client(target: { host: string; port: number }, options: RedisOptions = {}): Client {
  const backend = redis({ host: target.host, port: target.port, ttlMs: TTL_MS, ...options });
  const faults: CoordinationError[] = [];
  backend.faults$.subscribe((fault) => faults.push(fault));
  return { backend, faults, [Symbol.asyncDispose]: () => backend.close() };
}

/**
 * The connections over which this command goes, in the order in which it first does, by what they began with: with some
 * clients that is a command of the client's own.
 */
export function connectionsWith(proxy: TcpProxy, command: RegExp): ReadonlySet<Buffer> {
  const connections = new Set<Buffer>();
  proxy.onData((direction, chunk, firstChunk) => {
    if (direction === 'toServer' && firstChunk !== undefined && command.test(chunk.toString('latin1')))
      connections.add(firstChunk);
  });
  return connections;
}

/** One stay in a roster that is watched from outside. */
export interface Stay {
  readonly places$: Observable<Place>;
  admitted(withinMs?: number): Promise<Place>;
  lost(withinMs?: number): Promise<unknown>;
  leave(): void;
}

export function enter(backend: Backend, roster: RosterKey = LOCK, wish: Partial<EntryRequest> = {}): Stay {
  const places = new ReplaySubject<Place>();
  const subscription = backend.enter(roster, request(wish)).subscribe(places);
  return {
    places$: places,
    admitted: (withinMs = 5_000) => firstWithin(places, ({ admitted }) => admitted, withinMs, 'an admission'),
    lost: (withinMs = 5_000) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`it was not lost within ${withinMs} ms`)), withinMs);
        places.subscribe({
          error: (error) => {
            clearTimeout(late);
            resolve(error);
          },
        });
      }),
    leave: () => subscription.unsubscribe(),
  };
}

export function waiting(stay: Stay, withinMs = 5_000): Promise<Place> {
  return firstWithin(stay.places$, () => true, withinMs, 'a place');
}

function admitted(place$: Observable<Place>, withinMs = 5_000): Promise<Place> {
  return firstWithin(place$, (place) => place.admitted, withinMs, 'an admission');
}

export function entriesOnce(backend: Backend, roster: RosterKey = LOCK): Promise<readonly Entry[]> {
  return firstValueFrom(backend.entries(roster));
}

export async function keysOf(server: TestServer): Promise<string[]> {
  return [...(await askRedis(server.url, 'KEYS', '*')).matchAll(/^\{.*$/gm)].map(([key]) => key.trim()).sort();
}

/** Evaluates a command in redis-cli's sense. */
export function ask(server: TestServer, ...command: string[]): Promise<string> {
  return askRedis(server.url, ...command);
}

/** A session below the kernel: nobody renews it, and who cuts it says no goodbye. */
export interface BareSession {
  readonly session: StoreSession;
  readonly cut: () => void;
}

export function openBare(options: RedisOptions, context: StoreContext = storeContext()): Promise<BareSession> {
  const opened$ = redisStores(options).pipe(switchMap(([store]) => store.open(context)));
  return new Promise((resolve, reject) => {
    const link = opened$.subscribe({
      next: (session) => resolve({ session, cut: () => link.unsubscribe() }),
      error: reject,
    });
  });
}

/** As if a single server had been used in this namespace before. */
export async function useBefore(server: TestServer, namespace: string): Promise<void> {
  const runId = /run_id:(\w+)/.exec(await ask(server, 'INFO', 'server'))?.[1] ?? '';
  await ask(server, 'HSET', `{${namespace}:0}:m`, 'era', runId, 'id', 'first');
}

export function stand(mode: Mode = 'exclusive', permits = 1): StandRequest {
  return { id: newId(), mode, permits, payload: new Uint8Array(), registered: false, sent: () => undefined };
}

const newId = (): string => crypto.randomUUID().replaceAll('-', '');

/** What the kernel would hand to the adapter. */
export function storeContext(ttlMs = 60_000, requestTimeoutMs = ttlMs / 2): StoreContext {
  const timing = timingOf({ ttlMs, requestTimeoutMs });
  if (timing._tag === 'Left') throw timing.left;
  return { timing: timing.right, scheduler: monotonicScheduler, now: () => performance.now(), fault: () => {}, newId };
}
