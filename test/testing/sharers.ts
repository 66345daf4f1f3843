import { Observable, type ObservableInput, timer } from 'rxjs';
import type { Backend } from '../../src/backends/backend.js';
import { type Grant, withLock, withLocks, withPermit } from '../../src/index.js';
import type { Moment } from '../../src/testing/explore.js';
import type { Cluster } from '../../src/testing/simulate.js';
import { Doings, NAMES, OVER_MS, worker } from './recipes.js';

type Held = Pick<Grant, 'isValid'>;

/** What several hold: by what it is, who works under it now. */
export class Shares extends Doings {
  readonly held = {
    permit: new Map<string, Held>(),
    read: new Map<string, Held>(),
    write: new Map<string, Held>(),
    both: new Map<string, Held>(),
  };
  /** When somebody worked last under each. */
  readonly lastMs = { permit: 0, read: 0, write: 0, both: 0 };
}

type Kind = keyof Shares['held'];

/** How a permit is taken, so that a wrong way of it can be tried as well. */
export type TakePermit = (backend: Backend, work: (grant: Grant) => ObservableInput<number>) => Observable<number>;

const rightly: TakePermit = (backend, work) => withPermit(backend, 'permits', 2, work);

/** Three processes: a semaphore of two, each of them twice; one that reads and writes by turns; two locks in opposite orders. */
export function sharers(cluster: Cluster, takePermit: TakePermit = rightly): Shares {
  const shares = new Shares(cluster);
  for (const [i, name] of NAMES.entries()) {
    const backend = cluster.backend(name, { maxBackoffMs: 500 });
    const work = (kind: Kind, who: string, grant: Held, ms: number): Observable<number> =>
      new Observable<number>((subscriber) => {
        shares.held[kind].set(who, grant);
        subscriber.add(timer(ms).subscribe(subscriber));
        subscriber.add(() => {
          shares.held[kind].delete(who);
          shares.lastMs[kind] = cluster.now();
        });
      });
    const ms = (): number => 20 + cluster.random() * 200;
    cluster.run(name, () => {
      for (const who of [name, `${name}'`])
        worker(cluster, shares, () => takePermit(backend, (grant) => work('permit', who, grant, ms())));
      worker(cluster, shares, () => {
        const kind = cluster.random() < 0.4 ? 'write' : 'read';
        const mode = kind === 'write' ? 'exclusive' : 'shared';
        return withLock(backend, 'ledger', (grant) => work(kind, name, grant, ms()), { mode });
      });
      const names = i % 2 === 0 ? ['x', 'y'] : ['y', 'x'];
      worker(cluster, shares, () => withLocks(backend, names, (grant) => work('both', name, grant, ms())));
    });
  }
  return shares;
}

/** Never more than two permits, nobody beside a writer, both locks by one; and none of it comes to a stand. */
export function whatIsSharedWrongly(shares: Shares, { cluster, isCalm }: Moment): string | undefined {
  shares.troubles.last();
  const holding = (kind: Kind): readonly string[] =>
    [...shares.held[kind]].flatMap(([who, grant]) => {
      const process = who.slice(0, 1);
      if (!cluster.isRunning(process)) return [];
      // Nobody tells a process that its machine was suspended: it has to ask.
      const isHeld = !shares.troubles.suspended.has(process) || cluster.run(process, () => grant.isValid());
      return isHeld ? [who] : [];
    });
  const [permits, readers, writers, both] = [holding('permit'), holding('read'), holding('write'), holding('both')];
  if (permits.length > 2) return `each of ${permits.join(' and ')} has one of two permits`;
  if (writers.length > 1) return `each of ${writers.join(' and ')} writes`;
  if (writers.length > 0 && readers.length > 0) return `${writers.join()} writes while ${readers.join()} reads`;
  if (both.length > 1) return `each of ${both.join(' and ')} has both locks`;
  const isOver = isCalm || cluster.now() > shares.troubles.last() + OVER_MS;
  if (!isOver || !NAMES.some((name) => cluster.isRunning(name))) return undefined;
  for (const kind of ['permit', 'both'] as const)
    if (cluster.now() - shares.lastMs[kind] > 2_000)
      return `nobody has worked under ${kind} since ${shares.lastMs[kind]}`;
  const ledgerMs = Math.max(shares.lastMs.read, shares.lastMs.write);
  return cluster.now() - ledgerMs > 2_000 ? `nobody has read or written since ${ledgerMs}` : undefined;
}
