import {
  concat,
  connect,
  defer,
  endWith,
  fromEvent,
  ignoreElements,
  type MonoTypeOperatorFunction,
  mergeMap,
  NEVER,
  type Observable,
  of,
  switchMap,
  takeUntil,
  throwError,
} from 'rxjs';
import type { MembershipLost } from '../backends/errors.js';
import { check, checkAll, checkGiven, type Expectation, objectWith } from '../backends/shared/expectations.js';
import { isError } from '../backends/shared/is-error.js';
import type { Membership } from '../observables/groups/membership.js';
import { type GateOptions, ON_LOSS, whileTrue } from './while-true.js';

const [, isAsked] = objectWith('isValid');
const [, isSignal] = objectWith('addEventListener');
const MEMBERSHIPS: Expectation = [
  'memberships, as join does',
  (value) => isAsked(value) && isSignal((value as { readonly signal?: unknown }).signal),
];

/** What the gate must know of a membership. */
type Stay = Pick<Membership, 'isValid' | 'signal'>;

/**
 * Subscribes to the source while one is a member.
 *
 *     member   --m-------x---m----
 *     source     -a-b-c-     -a-b-
 *     output   ---a-b-c-------a-b-
 *
 * It stands after what it must stop, as `whileTrue` shows; behind `ownedBy`, `whileOwner` or `whileQuorum` it closes where those
 * cannot know better, since one who is cut off from the store loses its membership by its own clock.
 *
 * **Emits** the items of the source. Before it subscribes to the source, and before each item, `membership.isValid()` is asked:
 * if it is not, the source is not subscribed to, or the item is dropped.
 * **Errors** what the source or `membership$` errors with: `MembershipLost`, when one was removed; also at any other loss, with
 * `onLoss: 'error'`. `InvalidOptions` (thrown at the call; where `membership$` gives no memberships).
 * **Completes** when the source completes, which leaves; when `membership$` completes, as it does when the backend is closed;
 * with `onLoss: 'complete'`, when the membership is lost.
 * **Teardown** unsubscribes from the source, then leaves.
 * **Guarantee** not: that it closes while the backend drains, when members stay members. But: it is closed when others see that
 * this member is gone, while clock rates differ by less than `drift`.
 * **Source** Helix and Kafka Connect: who has lost its session stops its work before the others take it over.
 *
 * @example
 * ticks$.pipe(concatMap(step), whileMember(join(backend, 'workers', { id: 'worker-1' }))).subscribe();
 */
export function whileMember<T>(membership$: Observable<Stay>, options: GateOptions = {}): MonoTypeOperatorFunction<T> {
  check({ membership$ }, { membership$: objectWith('subscribe') }, ['membership$']);
  checkAll(options, { onLoss: ON_LOSS });
  const { onLoss = 'resubscribe' } = options;
  return (source) =>
    defer(() => {
      let isOpen = (): boolean => false;
      const isMember$ = membership$.pipe(
        connect((stay$) =>
          stay$.pipe(
            switchMap((stay) => {
              checkGiven('membership$', MEMBERSHIPS, stay);
              isOpen = () => stay.isValid();
              return concat(of(true), lossTold(stay.signal, onLoss));
            }),
            takeUntil(stay$.pipe(ignoreElements(), endWith(0))),
          ),
        ),
      );
      return source.pipe(whileTrue(isMember$, { onLoss, isOpen: () => isOpen() }));
    });
}

/** `false`, or the error, when the membership is lost. That it was left, or the backend closed, completes what it came from. */
function lossTold(signal: AbortSignal, onLoss: GateOptions['onLoss']): Observable<boolean> {
  const ends$: Observable<unknown> = signal.aborted ? of(undefined) : fromEvent(signal, 'abort');
  return ends$.pipe(
    mergeMap(() => {
      const { reason } = signal;
      if (!isError<MembershipLost>(reason, 'MembershipLost')) return NEVER;
      return onLoss === 'error' ? throwError(() => reason) : of(false);
    }),
  );
}
