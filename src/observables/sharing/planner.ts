import {
  catchError,
  combineLatest,
  defer,
  EMPTY,
  filter,
  type Observable,
  scan,
  switchMap,
  throwError,
  timer,
} from 'rxjs';
import type { Backend, Versioned } from '../../backends/backend.js';
import { InvalidOptions, type OutcomeUnknown } from '../../backends/errors.js';
import { sameBytes } from '../../backends/shared/codec.js';
import { isError } from '../../backends/shared/is-error.js';
import type { Items } from './items.js';
import { filled, nextPlan, orphans } from './next-plan.js';
import { encodePlan, fitsCell, type ItemKey, NO_PLAN, type Plan } from './plan.js';
import type { Strategy } from './strategies.js';

/** What a plan is made of, as a member sees it. */
export interface Outlook {
  /** Who is there, with the weight of each. */
  readonly weights: ReadonlyMap<string, number>;
  readonly items: Items;
  /** The last plan that could be read. */
  readonly plan: Plan;
  /** What stands in the cell now, be it none or garbage: the plan is written over it. */
  readonly cell: Versioned | undefined;
}

/** How plans are made. */
export interface Planning {
  readonly cell: string;
  readonly strategy: Strategy;
  readonly settledMs: number;
}

/** What one has seen, and since when. */
interface Seen extends Outlook {
  readonly changedMs: number;
  /** Since when each item has been without an owner who is there. */
  readonly orphanedMs: ReadonlyMap<ItemKey, number>;
}

/**
 * Writes plans while `isPlanner$` says so. Everything is divided anew when nothing has changed for `settledMs`. An item whose owner
 * has gone gets another one so long after, whatever else changes meanwhile, or a fleet that is never quiet would never have it done.
 *
 * Nobody else need keep still: a plan is written over the one that it was made of, or not at all.
 */
export function planning(
  backend: Backend,
  { cell, strategy, settledMs }: Planning,
  outlook$: Observable<Outlook>,
  isPlanner$: Observable<boolean>,
): Observable<never> {
  const { scheduler } = backend;

  const write = (seen: Seen): Observable<never> =>
    defer(() => {
      const nowMs = scheduler.now();
      const isQuiet = nowMs >= seen.changedMs + settledMs;
      const whole = nextPlan(strategy, seen.plan, seen.weights, seen.items);
      const waiting = [...seen.orphanedMs].flatMap(([key, sinceMs]) => (nowMs >= sinceMs + settledMs ? [key] : []));
      const plan = isQuiet ? whole : filled(seen.plan, whole, new Set(waiting), seen.items);
      const bytes = encodePlan(plan);
      if (sameBytes(bytes, seen.cell?.value ?? encodePlan(NO_PLAN)))
        return isQuiet
          ? EMPTY
          : timer(seen.changedMs + settledMs - nowMs, scheduler).pipe(switchMap(() => write(seen)));
      if (!fitsCell(bytes))
        throw new InvalidOptions([
          `items must be fewer for so many members: the plan of ${plan.size} items is ${bytes.length} bytes long`,
        ]);
      return backend.swap(cell, seen.cell?.version ?? 'absent', bytes).pipe(
        // What has come of it the cell tells, whoever wrote it.
        switchMap(() => EMPTY),
        catchError((error) =>
          isError<OutcomeUnknown>(error, 'OutcomeUnknown') ? writeLater(seen) : throwError(() => error),
        ),
      );
    });

  /** If the cell tells of a plan first, there is another outlook by then. */
  const writeLater = (seen: Seen): Observable<never> =>
    timer(Math.max(settledMs, LEAST_PAUSE_MS), scheduler).pipe(switchMap(() => write(seen)));

  // Everybody keeps in mind since when: whoever is to plan next goes on from there.
  const seen$ = outlook$.pipe(
    scan((before: Seen | undefined, outlook): Seen => {
      const nowMs = scheduler.now();
      const orphaned = orphans(outlook.plan, outlook.weights.keys(), outlook.items);
      const orphanedMs = new Map(orphaned.map((key) => [key, before?.orphanedMs.get(key) ?? nowMs]));
      return { ...outlook, changedMs: nowMs, orphanedMs };
    }, undefined),
    filter((seen) => seen !== undefined),
  );
  return combineLatest([seen$, isPlanner$]).pipe(
    switchMap(([seen, isPlanner]) => {
      if (!isPlanner) return EMPTY;
      const dueMs = Math.min(seen.changedMs, ...new Set(seen.orphanedMs.values())) + settledMs;
      return timer(Math.max(0, dueMs - scheduler.now()), scheduler).pipe(switchMap(() => write(seen)));
    }),
  );
}

/** Before a write whose outcome is not known is tried again, where one does not wait for anything to settle. */
const LEAST_PAUSE_MS = 100;
