import {
  BehaviorSubject,
  combineLatest,
  defer,
  distinctUntilChanged,
  map,
  merge,
  type Observable,
  Subject,
  switchMap,
} from 'rxjs';
import type { Backend, Characteristics, RosterKey, Session } from '../backend.js';
import type { CoordinationError } from '../errors.js';
import type { BackendOptions } from '../shared/options.js';
import { toUtf8 } from '../shared/utf8.js';
import type { Store } from '../store.js';
import { createBackend } from './create-backend.js';
import { hostEnvironment } from './environment.js';
import type { Participation } from './participation.js';

/** The worst first: what somebody relies on is only as good as that. All shards drain, if one does. */
const WORST_FIRST = ['draining', 'lost', 'connecting', 'suspended', 'live'] as const;

/** What is told in whole milliseconds, at two moments, of one and the same end differs by no more. */
const ROUNDED_MS = 1;

/** What a shard has told, and until when it admits nobody, if it said so: among live ones, the last of all is the worst. */
interface Shown {
  readonly session: Session;
  readonly barredUntilMs: number;
}

/** The stores of all shards, in order. */
export type Stores = readonly [Store, ...Store[]];

/**
 * Makes a backend of a store that divides the names among so many shards. Each has a session of its own, opened when it
 * is first used: what becomes of one does not touch what stands in the others.
 */
export function createShardedBackend(
  name: string,
  characteristics: Characteristics,
  count: number,
  stores$: Observable<Stores>,
  options: BackendOptions,
): Backend {
  const company = new Set<Participation>();
  const shardAt = (at: number): Backend => {
    const store$ = stores$.pipe(map((stores) => stores[at] ?? stores[0]));
    return createBackend(name, characteristics, store$, options, hostEnvironment, company);
  };
  const first = shardAt(0);
  return count === 1
    ? first
    : facade(
        first,
        Array.from({ length: count - 1 }, (_, at) => shardAt(at + 1)),
      );
}

/** Which of `shards` a name belongs to, always: FNV-1a of its bytes. */
export function shardOf(name: string, shards: number): number {
  let hash = 0x811c9dc5;
  for (const byte of toUtf8(name)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  // Its lowest bits alone would depend on the lowest bits of each byte alone.
  return ((hash ^ (hash >>> 16)) >>> 0) % shards;
}

function facade(first: Backend, others: readonly Backend[]): Backend {
  const shards = [first, ...others];
  const used$ = new BehaviorSubject<ReadonlySet<Backend>>(new Set());
  const faults = new Subject<CoordinationError>();
  let closed: Promise<void> | undefined;

  const using = (shard: Backend): Backend => {
    if (!used$.value.has(shard)) used$.next(new Set(used$.value).add(shard));
    return shard;
  };
  const of = <T>(name: string, act: (shard: Backend) => Observable<T>): Observable<T> =>
    defer(() => act(using(shards[shardOf(name, shards.length)] ?? first)));
  const at = <T>({ kind, name }: RosterKey, act: (shard: Backend) => Observable<T>): Observable<T> =>
    of(`${kind}:${name}`, act);

  const end = async (endings: readonly Promise<void>[]): Promise<void> => {
    await Promise.all(endings);
    used$.complete();
    faults.complete();
  };

  const backend: Backend = {
    ...first,
    faults$: merge(faults, ...shards.map((shard) => shard.faults$)),
    reportFault: (fault) => faults.next(fault),
    session$: defer(() => {
      if (used$.value.size === 0) using(first);
      const { scheduler } = first;
      const shown = (shard: Backend): Observable<Shown> =>
        shard.session$.pipe(
          map((session) => {
            const barredMs = barredMsOf(session);
            return { session, barredUntilMs: barredMs === 0 ? 0 : scheduler.now() + barredMs };
          }),
        );
      return used$.pipe(
        switchMap((used) => combineLatest([...used].map(shown))),
        map(worstOf),
        distinctUntilChanged(isSame),
        map(({ session, barredUntilMs }) =>
          barredUntilMs === 0
            ? session
            : { ...session, barredMs: Math.max(1, Math.round(barredUntilMs - scheduler.now())) },
        ),
      );
    }),
    enter: (roster, request) => at(roster, (shard) => shard.enter(roster, request)),
    entries: (roster) => at(roster, (shard) => shard.entries(roster)),
    look: (roster) => at(roster, (shard) => shard.look(roster)),
    evict: (roster, entryId) => at(roster, (shard) => shard.evict(roster, entryId)),
    register: (roster) => at(roster, (shard) => shard.register(roster)),
    unregister: (roster) => at(roster, (shard) => shard.unregister(roster)),
    registered: (kind) =>
      defer(() => combineLatest(shards.map((shard) => using(shard).registered(kind)))).pipe(
        map((sets) => new Set(sets.flatMap((set) => [...set]))),
      ),
    cell: (key) => of(`cell:${key}`, (shard) => shard.cell(key)),
    swap: (key, expected, value) => of(`cell:${key}`, (shard) => shard.swap(key, expected, value)),
    close: (options) => {
      // Each is told of each call: a further one may shorten the drain.
      const endings = shards.map((shard) => shard.close(options));
      closed ??= end(endings);
      return closed;
    },
    [Symbol.asyncDispose]: () => backend.close(),
  };
  return backend;
}

function worstOf(all: readonly Shown[]): Shown {
  // Who has only just begun to use another shard is not without a session for that.
  const begun = all.filter(({ session }) => session.state !== 'connecting' || session.attempt > 0);
  const counting = begun.length > 0 ? begun : all;
  const rank = ({ session }: Shown): number => WORST_FIRST.indexOf(session.state);
  const isWorse = (a: Shown, b: Shown): boolean =>
    rank(a) === rank(b) ? a.barredUntilMs > b.barredUntilMs : rank(a) < rank(b);
  return counting.reduce((worst, shown) => (isWorse(shown, worst) ? shown : worst));
}

function isSame(a: Shown, b: Shown): boolean {
  const { state } = a.session;
  const isAlike = state === b.session.state && state !== 'connecting' && state !== 'lost';
  return a.session === b.session || (isAlike && Math.abs(a.barredUntilMs - b.barredUntilMs) <= ROUNDED_MS);
}

/** For how long its shard admits nobody yet. */
function barredMsOf(session: Session): number {
  return session.state === 'live' ? (session.barredMs ?? 0) : 0;
}
