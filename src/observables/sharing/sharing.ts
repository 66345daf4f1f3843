import {
  BehaviorSubject,
  catchError,
  combineLatest,
  concat,
  defer,
  distinctUntilChanged,
  EMPTY,
  filter,
  map,
  NEVER,
  Observable,
  type ObservableInput,
  of,
  ReplaySubject,
  retry,
  Subscription,
  scan,
  switchMap,
  take,
  takeUntil,
  tap,
  throwError,
} from 'rxjs';
import type { Backend, Versioned } from '../../backends/backend.js';
import { type BackendClosed, UndecodablePayload } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { joinAs } from '../groups/join.js';
import { type MemberEntry, memberEntries, toMembers } from '../groups/member-map.js';
import type { Membership } from '../groups/membership.js';
import { aborted } from '../holding/aborted.js';
import type { Contention } from '../holding/contending.js';
import { type Grant, isLoss } from '../holding/grant.js';
import { guarded } from '../holding/guarded.js';
import { placesFor } from '../locks/lock.js';
import { checkItems, type Items, itemLockName, sameItems } from './items.js';
import { isStream, type PartitionOptions, planCell, type SharedItems, weightOf } from './partition-options.js';
import { decodePlan, memberKeyOf, NO_PLAN, type Plan } from './plan.js';
import { type Outlook, planning } from './planner.js';
import { sameWeights } from './ring.js';
import { STRATEGIES } from './strategies.js';
import { Turnstile } from './turnstile.js';

/** What becomes of the items that this member owns. */
export interface Sharing<T> {
  /** Done for each, under its lock. */
  work(item: string, grant: Grant): ObservableInput<T>;
  /** Told of those that are about to be given up, all at once, before anything is torn down. */
  leaving?(items: readonly string[]): void;
}

/** How many locks are asked for, or released, at once. */
const MOST_UNDER_WAY = 32;

/**
 * Does work for each item that this member owns. Three things that know nothing of each other: the plan, which says who shall own
 * what, and which the members write in turn; the locks, which say who does; and the work under them.
 */
export function sharing<T>(
  backend: Backend,
  group: string,
  items: SharedItems,
  { strategy = 'sticky', weights = () => 1, settledMs = 1_000, create = true, ...joining }: PartitionOptions,
  { work, leaving = () => undefined }: Sharing<T>,
): Observable<T> {
  return new Observable<T>((subscriber) => {
    const { scheduler } = backend;
    const { id = backend.newId() } = joining;
    const me = memberKeyOf(id);
    const cell = planCell(group);
    const turnstile = new Turnstile(MOST_UNDER_WAY, scheduler);
    /** The items that are worked for or waited for, and those whose work has come to its end. */
    const runs = new Map<string, Subscription>();
    /** Completes when nothing runs any more of what was begun last for an item: it never runs twice at once here. */
    const rests = new Map<string, Observable<never>>();
    /** How many runs are not over. */
    let running = 0;
    /** Nothing new is taken any more, and nothing is given up: the backend drains, or closes. */
    let isEnding = false;
    const following = new Subscription();
    const fail = (error: unknown): void => subscriber.error(error);

    const share = (item: string): Observable<T> =>
      defer(() => {
        let held: Grant | undefined;
        /** Releases take turns, too, except that the end of a session, or of work in a drain, is none of many at once. */
        const inTurn = ({ place }: Contention): Observable<never> =>
          defer(() => {
            if (place.draining.aborted) return EMPTY;
            // What it would wait for is said already: this only tells when the store has it.
            return turnstile.turn(place.leave(NEVER)).pipe(takeUntil(aborted(place.draining)));
          });
        const place$ = (beforeLeave: () => ObservableInput<unknown>): Observable<Contention> =>
          defer(() => {
            let last: Contention | undefined;
            const leaving = () => concat(beforeLeave(), last === undefined ? EMPTY : inTurn(last));
            return placesFor(backend, itemLockName(group, item), { data: id, wait: true, beforeLeave: leaving }).pipe(
              tap((contention) => {
                last = contention;
                held = contention.grant;
              }),
            );
          });
        const lock$ = (beforeLeave: () => ObservableInput<unknown>): Observable<Grant> =>
          turnstile.through(place$(beforeLeave)).pipe(
            map(({ grant }) => grant),
            filter((grant) => grant !== undefined),
            catchError((error) => (isError<BackendClosed>(error, 'BackendClosed') ? EMPTY : throwError(() => error))),
          );
        const work$ = guarded<T>((grant) => work(item, grant), {
          acquire: lock$,
          begun: (rest$) => {
            rests.set(item, rest$);
            rest$.subscribe({
              complete: () => {
                if (rests.get(item) === rest$) rests.delete(item);
              },
            });
          },
        });
        return defer(() => concat(rests.get(item) ?? EMPTY, work$)).pipe(
          retry({
            delay: (error) => (isLoss(error) && error === held?.signal.reason ? of(0) : throwError(() => error)),
          }),
        );
      });
    const end = (): void => {
      if (isEnding && running === 0) subscriber.complete();
    };
    const begin = (item: string): void => {
      const run = new Subscription();
      runs.set(item, run);
      running++;
      run.add(() => {
        running--;
      });
      run.add(
        share(item).subscribe({
          next: (value) => subscriber.next(value),
          error: fail,
          complete: () => {
            run.unsubscribe();
            end();
          },
        }),
      );
    };
    let latest: ReadonlySet<string> | undefined;
    const own = (wanted: ReadonlySet<string>): void => {
      latest = wanted;
      const given = [...runs.keys()].filter((item) => !wanted.has(item));
      leaving(given);
      // Whoever is told of something may change what is wanted, or unsubscribe.
      const isCurrent = (): boolean => wanted === latest && !isEnding && !subscriber.closed;
      for (const item of given) {
        if (!isCurrent()) return;
        const run = runs.get(item);
        runs.delete(item);
        run?.unsubscribe();
      }
      for (const item of wanted) {
        if (!isCurrent()) return;
        if (!runs.has(item)) begin(item);
      }
    };
    const finish = (): void => {
      isEnding = true;
      following.unsubscribe();
      end();
    };
    subscriber.add(() => {
      const all = [...runs.values()];
      for (const run of all) run.unsubscribe();
      following.unsubscribe();
    });

    const membership$ = new BehaviorSubject<Membership | undefined>(undefined);
    const items$ = new ReplaySubject<Items>(1);
    const entries$ = new ReplaySubject<readonly MemberEntry[]>(1);
    const plans$ = new ReplaySubject<Pick<Outlook, 'plan' | 'cell'>>(1);

    const weights$ = entries$.pipe(
      toMembers,
      map((members) => new Map([...members].map(([one, member]) => [one, weightOf(weights, one, member)]))),
      distinctUntilChanged(sameWeights),
    );
    const outlook$ = combineLatest([weights$, items$, plans$]).pipe(
      map(([weightsNow, itemsNow, plans]): Outlook => ({ weights: weightsNow, items: itemsNow, ...plans })),
    );
    const isPlanner$ = combineLatest([membership$, entries$]).pipe(
      map(([membership, entries]) => membership !== undefined && longestIn(entries) === id),
      distinctUntilChanged(),
    );
    const wanted$ = combineLatest([membership$, items$, plans$]).pipe(
      map(([membership, { names, keys }, { plan }]) => {
        if (membership === undefined) return new Set<string>();
        return new Set(names.filter((name) => plan.get(keys.get(name) as number) === me));
      }),
    );
    const lists$ = isStream(items) ? items : of(items);

    following.add(
      backend.session$.pipe(filter(({ state }) => state === 'draining')).subscribe({ next: finish, error: fail }),
    );
    following.add(wanted$.subscribe({ next: own, error: fail }));
    following.add(
      planning(backend, { cell, strategy: STRATEGIES[strategy], settledMs }, outlook$, isPlanner$).subscribe({
        error: fail,
      }),
    );
    following.add(
      backend
        .cell(cell)
        .pipe(followed(backend, cell))
        .subscribe({ next: (plans) => plans$.next(plans), error: fail, complete: finish }),
    );
    following.add(memberEntries(backend, group).subscribe({ next: (entries) => entries$.next(entries), error: fail }));
    following.add(
      lists$
        .pipe(
          map((list) => checkItems(group, list)),
          // Who asks for the list from time to time is told the same again, and nothing has changed.
          distinctUntilChanged(sameItems),
        )
        .subscribe({ next: (list) => items$.next(list), error: fail }),
    );
    // Who does not know the items yet takes no part, nor plans for others.
    following.add(
      items$
        .pipe(
          take(1),
          switchMap(() => joinAs(backend, group, { ...joining, id, create }, { shares: true })),
        )
        .subscribe({
          next: (membership) => {
            membership$.next(membership);
            // One after the other is told of a lost session, and each lock shall tell it as its own loss.
            aborted(membership.signal).subscribe(() =>
              scheduler.schedule(() => {
                if (membership$.value === membership) membership$.next(undefined);
              }),
            );
          },
          error: fail,
        }),
    );
  });
}

/** What the cell says. What cannot be read is reported, and the last plan holds until somebody writes another. */
function followed(backend: Backend, cell: string) {
  const read = (value: Versioned): Plan | undefined => {
    try {
      return decodePlan(value.value);
    } catch (cause) {
      backend.reportFault(new UndecodablePayload(`cell ${JSON.stringify(cell)}`, cause));
      return undefined;
    }
  };
  return scan(
    ({ plan }: Pick<Outlook, 'plan' | 'cell'>, now: Versioned | undefined) => ({
      plan: (now && read(now)) ?? plan,
      cell: now,
    }),
    { plan: NO_PLAN, cell: undefined },
  );
}

/**
 * Who has taken part for the longest time: it knows what the others knew, and changes least often. Who has only joined the
 * group does not plan.
 */
function longestIn(entries: readonly MemberEntry[]): string | undefined {
  return entries.find(({ record }) => record.shares === true)?.record.id;
}
