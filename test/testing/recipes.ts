import { isSome } from 'fp-ts/lib/Option.js';
import { defer, Observable, of, repeat, retry, timer } from 'rxjs';
import type { Backend } from '../../src/backends/backend.js';
import { campaign, type Grant, join, type Membership, members, withLock } from '../../src/index.js';
import type { Moment } from '../../src/testing/explore.js';
import type { Cluster } from '../../src/testing/simulate.js';

export const NAMES = ['a', 'b', 'c'] as const;

/** What the recipes have done so far, as their processes have been told. */
export class Doings {
  readonly leading = new Map<string, Grant>();
  readonly working = new Map<string, Grant>();
  readonly joined = new Map<string, { readonly membership: Membership; readonly atMs: number }>();
  readonly seen = new Map<string, ReadonlySet<string>>();
  readonly #lastTokens = new Map<string, bigint>();
  lastWorkMs = 0;
  /** What was wrong at the moment when it was told. */
  wrong: string | undefined;

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

function candidate(backend: Backend, doings: Doings, name: string): void {
  campaign(backend, 'election').subscribe((grant) => {
    if (isSome(grant)) {
      doings.granted(grant.value, name);
      doings.leading.set(name, grant.value);
    } else doings.leading.delete(name);
  });
}

/** Three candidates. */
export function election(cluster: Cluster): Doings {
  const doings = new Doings();
  for (const name of NAMES) candidate(cluster.backend(name, { maxBackoffMs: 500 }), doings, name);
  return doings;
}

/** Three processes, each of which uses everything. */
export function allRecipes(cluster: Cluster): Doings {
  const doings = new Doings();
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
  return doings.wrong ?? exclusion(doings, cluster) ?? (isCalm ? liveness(doings, cluster) : undefined);
}

/** Whoever runs holds it alone, and rightly so. */
export function exclusion(doings: Doings, cluster: Cluster): string | undefined {
  return together(doings.leading, 'leads', cluster) ?? together(doings.working, 'works under the lock', cluster);
}

function together(holders: ReadonlyMap<string, Grant>, what: string, cluster: Cluster): string | undefined {
  if (holders.size < 2) return undefined;
  const running = [...holders.keys()].filter((name) => cluster.isRunning(name));
  return running.length > 1 ? `each of ${running.join(' and ')} ${what}` : undefined;
}

/** A while after everything is in order again. */
function liveness(doings: Doings, cluster: Cluster): string | undefined {
  const alive = NAMES.filter((name) => cluster.isRunning(name));
  const leaders = alive.filter((name) => doings.leading.has(name));
  if (leaders.length !== 1) return `leaders in the end: ${leaders.join() || 'none'}`;
  if (cluster.now() - doings.lastWorkMs > 1_000) return `nobody has worked under the lock since ${doings.lastWorkMs}`;
  for (const name of alive) {
    const ids = [...(doings.seen.get(name) ?? [])].sort();
    if (ids.join() !== alive.join()) return `${name} sees {${ids.join()}}, but there are {${alive.join()}}`;
  }
  return undefined;
}
