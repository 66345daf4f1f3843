import { isSome } from 'fp-ts/lib/Option.js';
import {
  catchError,
  defer,
  finalize,
  NEVER,
  type Observable,
  repeat,
  retry,
  takeUntil,
  tap,
  throwError,
  timer,
} from 'rxjs';
import type { Backend } from '../../src/backends/backend.js';
import { BackendClosed, type CampaignOptions, CandidateReplaced, campaign, type Grant } from '../../src/index.js';
import type { Moment } from '../../src/testing/explore.js';
import type { Cluster } from '../../src/testing/simulate.js';
import { Doings, NAMES, OVER_MS } from './recipes.js';

const ID = 'pod-0';

/** One candidate, from standing to the end. */
interface Stay {
  readonly process: string;
  readonly isPod: boolean;
  readonly sinceMs: number;
  /** How long the history was by then. */
  readonly from: number;
  lead?: Grant | undefined;
}

/** Who stands in the election. */
export class Stays extends Doings {
  readonly standing = new Set<Stay>();
  readonly pods: Stay[] = [];
  lastLedMs = 0;
}

/** When this one entered, as a place in the history. */
function entered({ history }: Cluster, { process, from }: Stay): number {
  const at = history.slice(from).findIndex((line) => line.includes(` ${process} enter`));
  return at < 0 ? Number.POSITIVE_INFINITY : from + at;
}

/** The one that was the last to enter, whoever began to stand before. */
function latestIn(cluster: Cluster, { pods }: Stays): { readonly stay: Stay; readonly at: number } | undefined {
  const inStore = pods
    .map((stay) => ({ stay, at: entered(cluster, stay) }))
    .filter(({ at }) => Number.isFinite(at))
    .sort((a, b) => b.at - a.at);
  return inStore[0];
}

function isReplaced(cluster: Cluster, stays: Stays, stay: Stay): boolean {
  const latest = stay.isPod ? latestIn(cluster, stays) : undefined;
  return latest !== undefined && entered(cluster, stay) < latest.at;
}

/** How somebody stands under an identity, so that a wrong way of it can be tried as well. */
export type Manners = (id: string) => CampaignOptions;

const rightly: Manners = (id) => ({ id, takeOver: true });

/** Two processes that stand for a while under one identity, again and again, each taking over from the other; and one without any. */
export function identities(cluster: Cluster, manners: Manners = rightly): Stays {
  const stays = new Stays(cluster);
  for (const name of NAMES) {
    const backend = cluster.backend(name, { maxBackoffMs: 500 });
    const isPod = name !== 'c';
    const once = (): Observable<unknown> => stand(cluster, backend, stays, name, isPod ? manners(ID) : {});
    cluster.run(name, () => {
      defer(once)
        .pipe(
          takeUntil(defer(() => timer(500 + cluster.random() * 3_000))),
          // Who was replaced is over, and is started again later.
          retry({ delay: (error) => (error instanceof CandidateReplaced ? timer(200) : throwError(() => error)) }),
          // Whose backend is closed, by a deploy, stands no more.
          catchError((error) => (error instanceof BackendClosed ? NEVER : throwError(() => error))),
          repeat({ delay: () => timer(cluster.random() * 1_000) }),
        )
        .subscribe();
    });
  }
  return stays;
}

function stand(
  cluster: Cluster,
  backend: Backend,
  stays: Stays,
  process: string,
  options: CampaignOptions,
): Observable<unknown> {
  return defer(() => {
    const stay: Stay = {
      process,
      isPod: options.id !== undefined,
      sinceMs: cluster.now(),
      from: cluster.history.length,
    };
    const ledUntilNow = (): void => {
      if (stay.lead !== undefined) stays.lastLedMs = cluster.now();
      stay.lead = undefined;
    };
    stays.standing.add(stay);
    if (stay.isPod) stays.pods.push(stay);
    return campaign(backend, 'election', options).pipe(
      tap((now) => {
        ledUntilNow();
        if (!isSome(now)) return;
        // Who was replaced while it did not run may be told late of what was so before.
        if (!isReplaced(cluster, stays, stay)) stays.granted(now.value, process);
        stay.lead = now.value;
      }),
      finalize(() => {
        ledUntilNow();
        stays.standing.delete(stay);
      }),
    );
  });
}

/**
 * Two never lead, unless one of them has been replaced and has not heard of it; of one identity one stays; somebody leads.
 */
export function whatIsConfused(stays: Stays, { cluster, isCalm }: Moment): string | undefined {
  if (stays.wrong !== undefined) return stays.wrong;
  const { troubles } = stays;
  const lastMs = troubles.last();
  const running = [...stays.standing].filter(({ process }) => cluster.isRunning(process));
  const leading = running.filter(
    (stay) =>
      stay.lead !== undefined &&
      // Nobody tells a process that its machine was suspended: it has to ask.
      (!troubles.suspended.has(stay.process) || cluster.run(stay.process, () => stay.lead?.isValid())),
  );
  const rightful = leading.filter((stay) => !isReplaced(cluster, stays, stay));
  if (rightful.length > 1) return `each of ${rightful.map(({ process }) => process).join(' and ')} leads`;
  if (!isCalm && cluster.now() <= lastMs + OVER_MS) return undefined;
  const soundMs = cluster.now() - OVER_MS;
  const latest = latestIn(cluster, stays);
  const tookOverMs = Number(cluster.history[latest?.at ?? 0]?.split(' ')[0]);
  const late = running.find((stay) => tookOverMs < soundMs && isReplaced(cluster, stays, stay));
  if (late !== undefined && latest !== undefined && running.includes(latest.stay))
    return `${late.process} still stands as ${ID}, though ${latest.stay.process} has taken over at ${tookOverMs} ms`;
  const waiting = running.filter(({ sinceMs }) => sinceMs < soundMs);
  if (leading.length === 0 && waiting.length > 0 && stays.lastLedMs < soundMs)
    return `nobody has led since ${stays.lastLedMs} ms, though ${waiting.map(({ process }) => process).join(' and ')} stood there`;
  return undefined;
}
