import { catchError, NEVER, Observable, throwError, timer } from 'rxjs';
import type { Backend } from '../../src/backends/backend.js';
import { BackendClosed, type Grant, type ScheduleOptions, schedule, type Tick } from '../../src/index.js';
import type { Moment } from '../../src/testing/explore.js';
import type { Cluster } from '../../src/testing/simulate.js';
import { Doings, NAMES, OVER_MS } from './recipes.js';

const EVERY_MS = 200;

/** One time that the work of a tick was begun. */
interface Begun {
  readonly process: string;
  readonly token: bigint;
  readonly grant: Grant;
  isRunning: boolean;
}

/** What became of the ticks of one schedule. */
class Ticked {
  readonly begun = new Map<number, Begun[]>();
  readonly done = new Set<number>();
}

/** Two schedules, each in every process. */
export class Schedules extends Doings {
  readonly once = new Ticked();
  readonly again = new Ticked();
}

/** How the backend is seen by a schedule, so that a wrong way of it can be tried as well. */
export type Seen = (backend: Backend) => Backend;

const WAYS = {
  once: { delivery: 'at-most-once' },
  again: { delivery: 'at-least-once', missed: 'all', overlap: 'queue' },
} as const satisfies Readonly<Record<string, ScheduleOptions>>;

/** Three processes, one tick in 200 ms: at most once, and at least once. */
export function schedules(cluster: Cluster, seen: Seen = (backend) => backend): Schedules {
  const doings = new Schedules(cluster);
  for (const name of NAMES) {
    const backend = seen(cluster.backend(name, { maxBackoffMs: 500 }));
    for (const way of ['once', 'again'] as const)
      cluster.run(name, () =>
        schedule(backend, way, { everyMs: EVERY_MS }, work(doings[way], name, cluster), WAYS[way])
          // Whose backend is closed, by a deploy, is there no more.
          .pipe(catchError((error) => (error instanceof BackendClosed ? NEVER : throwError(() => error))))
          .subscribe(),
      );
  }
  return doings;
}

function work(ticked: Ticked, process: string, cluster: Cluster) {
  return ({ date }: Tick, grant: Grant): Observable<number> =>
    new Observable((subscriber) => {
      const at = date.getTime();
      const begun: Begun = { process, token: grant.token, grant, isRunning: true };
      ticked.begun.set(at, [...(ticked.begun.get(at) ?? []), begun]);
      subscriber.add(
        timer(20 + cluster.random() * 120).subscribe({
          complete: () => {
            if (grant.isValid()) ticked.done.add(at);
            subscriber.complete();
          },
        }),
      );
      subscriber.add(() => {
        begun.isRunning = false;
      });
    });
}

/** A tick begins once, or again with a greater token; one at a time; and, where it is promised, none is lost. */
export function whatIsMistimed(doings: Schedules, { cluster, isCalm }: Moment): string | undefined {
  doings.troubles.last();
  const { history } = cluster;
  const isLost = history.some((line) => line.includes('keepData: false'));
  const isMoved = history.some((line) => line.includes('jumpClock('));
  const { once, again } = doings;
  for (const [at, begun] of once.begun)
    if (begun.length > 1 && !(isLost && isMoved)) return `tick ${at} was begun ${begun.length} times`;
  for (const [at, begun] of again.begun)
    for (const [i, { token }] of begun.entries())
      if (i > 0 && token <= (begun[i - 1]?.token ?? 0n) && !isLost)
        return `tick ${at} was done again with token ${token}`;
  for (const ticked of [once, again]) {
    const running = [...ticked.begun].flatMap(([at, begun]) =>
      begun
        .filter(({ isRunning, process, grant }) => {
          if (!isRunning || !cluster.isRunning(process)) return false;
          return !doings.troubles.suspended.has(process) || cluster.run(process, () => grant.isValid());
        })
        .map(({ process }) => `${process} works on tick ${at}`),
    );
    if (running.length > 1) return running.join(' while ');
  }
  if (!isCalm || isLost || isMoved) return undefined;
  const [first = 0] = again.begun.keys();
  for (let at = first; at < cluster.now() - OVER_MS; at += EVERY_MS)
    if (!again.done.has(at)) return `tick ${at} was never done`;
  const latest = Math.max(...once.done);
  return cluster.now() - latest > OVER_MS ? `the last tick that was done is ${latest}` : undefined;
}

/** Where everybody leads: only the claims keep ticks from being begun twice. */
export const ledByAll: Seen = (backend) => ({
  ...backend,
  enter: (roster, request) => backend.enter(roster, { ...request, mode: 'shared', permits: Number.POSITIVE_INFINITY }),
});

/** The same, and what is written is compared with nothing. */
export const carelessly: Seen = (backend) => {
  const seen = ledByAll(backend);
  return { ...seen, swap: (key, _expected, value) => seen.swap(key, 'any', value) };
};

/** What claims alone must keep. */
export function isBegunTwice({ once }: Schedules): string | undefined {
  const twice = [...once.begun].find(([, begun]) => begun.length > 1);
  return twice && `tick ${twice[0]} was begun by ${twice[1].map(({ process }) => process).join(' and ')}`;
}
