import { isSome, type Option } from 'fp-ts/lib/Option.js';
import { defer, identity, type MonoTypeOperatorFunction, Observable, of, repeat, retry, timer } from 'rxjs';
import type { Backend } from '../../src/backends/backend.js';
import { campaign, type Grant, join, type Membership, members, withLeadership, withLock } from '../../src/index.js';
import type { Moment } from '../../src/testing/explore.js';
import type { Cluster } from '../../src/testing/simulate.js';

export const NAMES = ['a', 'b', 'c'] as const;

/** How long a session lives in explore, unless it is told otherwise. */
const TTL_MS = 1_000;
/** Within this, what has gone wrong is over: docs/guarantees.md. */
export const OVER_MS = TTL_MS + 1_000;

/** When everything that has gone wrong was over, by the history of a cluster. */
class Troubles {
  /** When each process crashed. */
  readonly crashedMs = new Map<string, number>();
  /** Whose machine was suspended. */
  readonly suspended = new Set<string>();
  readonly #untilMs = new Map<string, number>();
  #storeUntilMs = 0;
  #read = 0;

  constructor(private readonly cluster: Cluster) {}

  /** When the latest trouble of a process, or of the store, was over. */
  lastOf(process: string): number {
    this.#catchUp();
    return Math.max(this.#storeUntilMs, this.#untilMs.get(process) ?? 0);
  }

  /** When the latest trouble of all was over. */
  last(): number {
    this.#catchUp();
    return Math.max(this.#storeUntilMs, ...this.#untilMs.values());
  }

  #catchUp(): void {
    const { history } = this.cluster;
    for (; this.#read < history.length; this.#read++) this.#note(history[this.#read] ?? '');
  }

  #note(line: string): void {
    const fault = /^(\S+) - (\w+)\((?:'(\w+)')?(.*)\)$/.exec(line);
    const lost = fault === null ? /^(\S+) (\w+) .*, reply lost$/.exec(line) : null;
    if (fault !== null) {
      const [, at, kind = '', process, rest = ''] = fault;
      const forMs = ['partition', 'pause', 'suspend', 'delay', 'restartStore'].includes(kind)
        ? /(\d+)\D*$/.exec(rest)?.[1]
        : 0;
      const untilMs = Number(at) + Number(forMs);
      if (process === undefined) this.#storeUntilMs = Math.max(this.#storeUntilMs, untilMs);
      else this.#untilMs.set(process, Math.max(this.#untilMs.get(process) ?? 0, untilMs));
      if (kind === 'suspend' && process !== undefined) this.suspended.add(process);
      if (kind === 'crash' && process !== undefined) this.crashedMs.set(process, Number(at));
    } else if (lost !== null) {
      const [, at, process = ''] = lost;
      this.#untilMs.set(process, Math.max(this.#untilMs.get(process) ?? 0, Number(at)));
    }
  }
}

/** What the recipes have done so far, as their processes have been told. */
export class Doings {
  readonly leading = new Map<string, Grant>();
  readonly working = new Map<string, Grant>();
  readonly joined = new Map<string, { readonly membership: Membership; readonly atMs: number }>();
  readonly seen = new Map<string, ReadonlySet<string>>();
  readonly #lastTokens = new Map<string, bigint>();
  readonly troubles: Troubles;
  lastWorkMs = 0;
  /** What was wrong at the moment when it was told. */
  wrong: string | undefined;

  constructor(cluster: Cluster) {
    this.troubles = new Troubles(cluster);
  }

  /** Tokens grow from grant to grant, whoever has them. */
  granted({ name, token }: Grant, to: string): void {
    const last = this.#lastTokens.get(name) ?? 0n;
    if (token <= last) this.wrong ??= `${to} was granted ${name} with token ${token} after ${last}`;
    this.#lastTokens.set(name, token);
  }

  sees(name: string, ids: ReadonlySet<string>, nowMs: number): void {
    this.seen.set(name, ids);
    const mine = this.joined.get(name);
    if (mine?.membership.isValid() && nowMs - mine.atMs > 1_200 && !ids.has(name))
      this.wrong ??= `${name} is a member and sees {${[...ids].join()}}`;
  }
}

/** Work under a lock: while it is subscribed to, its process is at it. */
export function work(doings: Doings, name: string, grant: Grant, ms: number): Observable<number> {
  return new Observable<number>((subscriber) => {
    doings.granted(grant, name);
    doings.working.set(name, grant);
    subscriber.add(timer(ms).subscribe(subscriber));
    subscriber.add(() => doings.working.delete(name));
  });
}

/** Works under the lock again and again, whatever happens. */
export function worker(cluster: Cluster, doings: Doings, once: () => Observable<unknown>): void {
  defer(once)
    .pipe(retry({ delay: () => of(0) }), repeat({ delay: () => timer(100) }))
    .subscribe(() => {
      doings.lastWorkMs = cluster.now();
    });
}

/** Stands in the election, for as long as `whileStanding` lets it. */
export function candidate(
  backend: Backend,
  doings: Doings,
  name: string,
  whileStanding: MonoTypeOperatorFunction<Option<Grant>> = identity,
): void {
  campaign(backend, 'election')
    .pipe(whileStanding)
    .subscribe((grant) => {
      if (isSome(grant)) {
        doings.granted(grant.value, name);
        doings.leading.set(name, grant.value);
      } else doings.leading.delete(name);
    });
}

/** Three candidates. */
export function election(cluster: Cluster): Doings {
  const doings = new Doings(cluster);
  for (const name of NAMES) candidate(cluster.backend(name, { maxBackoffMs: 500 }), doings, name);
  return doings;
}

/** Three processes that do work as the leader, and again with the next lead. */
export function leaders(cluster: Cluster): Doings {
  const doings = new Doings(cluster);
  for (const name of NAMES) {
    const backend = cluster.backend(name, { maxBackoffMs: 500 });
    cluster.run(name, () =>
      worker(cluster, doings, () =>
        withLeadership(backend, 'election', (grant) => work(doings, name, grant, 20 + cluster.random() * 400)),
      ),
    );
  }
  return doings;
}

/** Three processes of which the later ones of the alphabet are to lead, and do work while they do. */
export function preferred(cluster: Cluster): Doings {
  const doings = new Doings(cluster);
  for (const [priority, name] of NAMES.entries()) {
    const backend = cluster.backend(name, { maxBackoffMs: 500 });
    cluster.run(name, () => {
      campaign(backend, 'election', { priority }).subscribe((grant) => {
        if (isSome(grant)) {
          doings.granted(grant.value, name);
          doings.leading.set(name, grant.value);
        } else doings.leading.delete(name);
      });
      worker(cluster, doings, () =>
        withLeadership(backend, 'jobs', (grant) => work(doings, name, grant, 20 + cluster.random() * 400), {
          priority,
        }),
      );
    });
  }
  return doings;
}

/** The best of those who are there leads, when all is in order again. */
export function unsettled({ leading }: Doings, { cluster, isCalm }: Moment): string | undefined {
  if (!isCalm) return undefined;
  const best = NAMES.filter((name) => cluster.isRunning(name)).at(-1);
  const leaders = [...leading.keys()].filter((name) => cluster.isRunning(name));
  return leaders.join() === best ? undefined : `${leaders.join() || 'nobody'} leads, and ${best} is the best`;
}

/** Somebody has worked `OVER_MS` after everything is in order again, and not long ago. */
export function idleness(doings: Doings, { cluster, isCalm }: Moment): string | undefined {
  const isOver = isCalm || cluster.now() > doings.troubles.last() + OVER_MS;
  return isOver && cluster.now() - doings.lastWorkMs > 1_000
    ? `nobody has worked since ${doings.lastWorkMs}`
    : undefined;
}

/** Three processes, each of which uses everything. */
export function allRecipes(cluster: Cluster): Doings {
  const doings = new Doings(cluster);
  for (const name of NAMES) {
    const backend: Backend = cluster.backend(name, { maxBackoffMs: 500 });
    cluster.run(name, () => {
      candidate(backend, doings, name);
      worker(cluster, doings, () =>
        withLock(backend, 'lock', (grant) => work(doings, name, grant, 20 + cluster.random() * 400)),
      );
      join(backend, 'group', { id: name, create: true }).subscribe((membership) =>
        doings.joined.set(name, { membership, atMs: cluster.now() }),
      );
      members(backend, 'group').subscribe((ids) => doings.sees(name, ids, cluster.now()));
    });
  }
  return doings;
}

/** Exclusion, token order, no ghosts, liveness. Says what is wrong. */
export function whatIsWrong(doings: Doings, { cluster, isCalm }: Moment): string | undefined {
  const isOver = isCalm || cluster.now() > doings.troubles.last() + OVER_MS;
  return (
    doings.wrong ??
    exclusion(doings, cluster) ??
    ghosts(doings, cluster) ??
    (isOver ? liveness(doings, cluster) : undefined)
  );
}

/** Whoever has been in order for long enough sees no member that has been gone for as long. */
export function ghosts({ troubles, seen }: Doings, cluster: Cluster): string | undefined {
  for (const [name, ids] of seen) {
    const soundMs = troubles.lastOf(name) + OVER_MS;
    if (cluster.now() <= soundMs || !cluster.isRunning(name)) continue;
    for (const [gone, atMs] of troubles.crashedMs)
      if (cluster.now() > atMs + OVER_MS && ids.has(gone)) return `${name} sees ${gone}, which crashed at ${atMs} ms`;
  }
  return undefined;
}

/** Whoever runs holds it alone, and rightly so. */
export function exclusion(doings: Doings, cluster: Cluster): string | undefined {
  return (
    together(doings, doings.leading, 'leads', cluster) ??
    together(doings, doings.working, 'works under the lock', cluster)
  );
}

function together(
  { troubles }: Doings,
  holders: ReadonlyMap<string, Grant>,
  what: string,
  cluster: Cluster,
): string | undefined {
  if (holders.size < 2) return undefined;
  troubles.last();
  const running = [...holders]
    .filter(
      ([name, grant]) =>
        cluster.isRunning(name) &&
        // Nobody tells a process that its machine was suspended: it has to ask.
        (!troubles.suspended.has(name) || cluster.run(name, () => grant.isValid())),
    )
    .map(([name]) => name);
  return running.length > 1 ? `each of ${running.join(' and ')} ${what}` : undefined;
}

/** Somebody leads `OVER_MS` after everything is in order again. */
export function leaderless({ leading }: Doings, cluster: Cluster): string | undefined {
  const leaders = NAMES.filter((name) => cluster.isRunning(name) && leading.has(name));
  return leaders.length === 1 ? undefined : `leaders: ${leaders.join() || 'none'}`;
}

/** As it is `OVER_MS` after everything is in order again. */
function liveness(doings: Doings, cluster: Cluster): string | undefined {
  const alive = NAMES.filter((name) => cluster.isRunning(name));
  const unled = leaderless(doings, cluster);
  if (unled !== undefined) return unled;
  if (cluster.now() - doings.lastWorkMs > 1_000) return `nobody has worked under the lock since ${doings.lastWorkMs}`;
  for (const name of alive) {
    const ids = [...(doings.seen.get(name) ?? [])].sort();
    if (ids.join() !== alive.join()) return `${name} sees {${ids.join()}}, but there are {${alive.join()}}`;
  }
  return undefined;
}
