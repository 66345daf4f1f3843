import { Observable } from 'rxjs';
import type { Backend } from '../../src/backends/backend.js';
import { type Grant, type PartitionOptions, withPartition } from '../../src/index.js';
import type { Moment } from '../../src/testing/explore.js';
import type { Cluster } from '../../src/testing/simulate.js';
import { Doings, NAMES, OVER_MS, worker } from './recipes.js';

const ITEMS = ['i1', 'i2', 'i3', 'i4', 'i5', 'i6', 'i7'];
const SETTLED_MS = 200;

/** Who works for which item. */
export class Divided extends Doings {
  readonly owners = new Map<string, Map<string, Grant>>(ITEMS.map((item) => [item, new Map()]));
  /** When somebody worked last for each. */
  readonly lastMs = new Map<string, number>(ITEMS.map((item) => [item, 0]));
}

/** Three processes that divide seven items. `seen` is the backend that they divide them over, so that a wrong one can be tried. */
export function dividers(
  cluster: Cluster,
  strategy: NonNullable<PartitionOptions['strategy']> = 'sticky',
  seen: (backend: Backend, name: string) => Backend = (backend) => backend,
): Divided {
  const divided = new Divided(cluster);
  for (const name of NAMES) {
    const backend = seen(cluster.backend(name, { maxBackoffMs: 500 }), name);
    const work = (item: string, grant: Grant): Observable<never> =>
      new Observable(() => {
        divided.granted(grant, name);
        divided.owners.get(item)?.set(name, grant);
        return () => {
          divided.owners.get(item)?.delete(name);
          divided.lastMs.set(item, cluster.now());
        };
      });
    cluster.run(name, () =>
      worker(cluster, divided, () =>
        withPartition(backend, 'fleet', ITEMS, work, { id: name, strategy, settledMs: SETTLED_MS }),
      ),
    );
  }
  return divided;
}

/** No item has two owners at any moment; each has one again when what has gone wrong is over, and by then shares are even. */
export function whatIsDividedWrongly(divided: Divided, { cluster, isCalm }: Moment, isEven = true): string | undefined {
  const { troubles, owners, lastMs, wrong } = divided;
  if (wrong !== undefined) return wrong;
  const lastTroubleMs = troubles.last();
  const counts = new Map<string, number>(NAMES.filter((name) => cluster.isRunning(name)).map((name) => [name, 0]));
  for (const [item, all] of owners) {
    const mine = [...all].filter(([name, grant]) => {
      if (!cluster.isRunning(name)) return false;
      // Nobody tells a process that its machine was suspended: it has to ask.
      return !troubles.suspended.has(name) || cluster.run(name, () => grant.isValid());
    });
    if (mine.length > 1) return `each of ${mine.map(([name]) => name).join(' and ')} owns ${item}`;
    for (const [name] of mine) counts.set(name, (counts.get(name) ?? 0) + 1);
    const sinceMs = Math.max(lastMs.get(item) ?? 0, lastTroubleMs + OVER_MS);
    if (mine.length === 0 && counts.size > 0 && cluster.now() > sinceMs + SETTLED_MS + SPARE_MS)
      return `nobody owns ${item} since ${lastMs.get(item)}`;
  }
  if (!isEven || !isCalm || cluster.now() <= lastTroubleMs + OVER_MS + SETTLED_MS + SPARE_MS) return undefined;
  const shares = [...counts.values()].filter((count) => count > 0);
  return Math.max(...shares) - Math.min(...shares) > 1 ? `the shares are ${shares.join()}` : undefined;
}

/** For what a session takes to be opened again, with its pauses. */
const SPARE_MS = 1_000;
