import {
  catchError,
  defaultIfEmpty,
  defer,
  EMPTY,
  filter,
  isObservable,
  map,
  Observable,
  of,
  ReplaySubject,
  race,
  retry,
  switchMap,
  take,
  tap,
  throwError,
} from 'rxjs';
import type { Backend, Place, RosterKey } from '../../backends/backend.js';
import {
  type BackendClosed,
  type GroupNotFound,
  MemberAlreadyExists,
  MembershipLost,
  type OutcomeUnknown,
  type PlaceLost,
} from '../../backends/errors.js';
import { encodePayload, MAX_PAYLOAD_BYTES, RECORD_BYTES } from '../../backends/shared/codec.js';
import { ANYTHING, checkAll, FLAG } from '../../backends/shared/expectations.js';
import { isError } from '../../backends/shared/is-error.js';
import { checkName } from '../../backends/shared/keys.js';
import { closed } from '../holding/closed.js';
import { toldBy } from '../holding/grant.js';
import { lookAtMembers, type MemberEntry, type MemberRecord, memberEntries } from './member-map.js';

/** Options of `join`. */
export interface JoinOptions {
  /** Who joins. Default: a new unique id for each subscription. */
  readonly id?: string;
  /** Shown to everybody by `memberMap`. An Observable joins with its first value; each further one replaces the last. */
  readonly capabilities?: unknown;
  /** Create the group where it does not exist. Default `false`: then joining fails with `GroupNotFound`. */
  readonly create?: boolean;
}

/** One's stay in a group. */
export interface Membership {
  readonly group: string;
  readonly id: string;
  /** Grows with each joining. */
  readonly token: bigint;
  /** Whether one is still a member, asked of the clock at this moment. */
  isValid(): boolean;
  /**
   * Aborts when the membership is lost or left. Its `reason` says which: `MembershipLost`; `Released`, when the subscription
   * has ended; `BackendClosed`, when the backend is closed.
   */
  readonly signal: AbortSignal;
  /**
   * Leaves the group, at the call: the stream completes. What is returned tells whether one was a member until then, once the
   * store has it, and completes; nobody needs to subscribe to it.
   */
  leave(): Observable<boolean>;
}

/**
 * Is a member of `group` while subscribed.
 *
 * Cold: each subscription is a member of its own.
 *
 *     place    a------x    a--
 *     output   m-----------m--
 *
 * **Emits** a `Membership` for each joining: when the session is lost, it joins again by itself in the next one.
 * **Errors** `GroupNotFound` without `create`; `MemberAlreadyExists` when another is in the group under this id, who is not
 * touched by that; `InvalidName` (thrown at the call), `InvalidPayload`, `AuthenticationFailed`, `PermissionDenied`;
 * what `capabilities`
 * errors with. Never on a lost connection.
 * **Completes** when the backend is closed. While it drains, a member stays one: whose work goes on is there. The drain does not
 * wait for that.
 * **Teardown** leaves; `backend.close()` waits for it.
 * **Guarantee** no two members of one id are seen by `members` and `memberMap`.
 * **Source** tooz `join_group`, `join_group_create`, `update_capabilities`, `leave_group`; kazoo `Party`.
 *
 * @example
 * join(backend, 'workers', { id: 'w1', capabilities: { zone: 'a' }, create: true }).subscribe();
 */
export function join(backend: Backend, group: string, options: JoinOptions = {}): Observable<Membership> {
  checkName(group);
  checkAll(options, { id: ANYTHING, capabilities: ANYTHING, create: FLAG });
  if (options.id !== undefined) checkName(options.id);
  return defer(() => {
    const id = options.id ?? backend.newId();
    const owner = backend.newId();
    const encode = (capabilities: unknown): Uint8Array => {
      const subject = `member ${JSON.stringify(id)}`;
      // The limit is for what the user gives; what is kept with it comes on top.
      encodePayload(backend.codec, subject, capabilities);
      const record: MemberRecord = { id, owner, capabilities };
      return encodePayload(backend.codec, subject, record, MAX_PAYLOAD_BYTES + RECORD_BYTES);
    };
    const { capabilities } = options;
    const payload$ = isObservable(capabilities)
      ? capabilities.pipe(defaultIfEmpty(undefined), map(encode))
      : of(encode(capabilities));
    return membership(backend, group, { id, owner, create: options.create ?? false }, payload$);
  });
}

interface Joining {
  readonly id: string;
  readonly owner: string;
  readonly create: boolean;
}

function membership(
  backend: Backend,
  group: string,
  { id, owner, create }: Joining,
  payload$: Observable<Uint8Array>,
): Observable<Membership> {
  const roster: RosterKey = { kind: 'group', name: group };
  let hasJoined = false;

  /** Emits when nobody else has stood longer under this id. A first joining fails at once; a later one waits. */
  const alone = ({ entry: mine }: Place): Observable<unknown> => {
    const isTaken = (entries: readonly MemberEntry[]): boolean =>
      entries.some(({ entry, record }) => record.id === id && record.owner !== owner && entry.token < mine.token);
    return lookAtMembers(backend, group).pipe(
      switchMap((entries) => {
        if (!isTaken(entries)) return of(entries);
        if (!hasJoined) throw new MemberAlreadyExists(group, id);
        return memberEntries(backend, group).pipe(
          filter((later) => !isTaken(later)),
          take(1),
        );
      }),
    );
  };

  return new Observable<Membership>((subscriber) => {
    const payloads = new ReplaySubject<Uint8Array>(1);
    /** It has waited for something: a backend that is closed by now was closed meanwhile. */
    let hasWaited = false;
    let hasPayload = false;
    subscriber.add(payload$.subscribe(payloads));
    const joining = race(payloads, closed(backend)).pipe(
      take(1),
      switchMap((payload) => {
        hasPayload = true;
        const place$ = backend.enter(roster, {
          mode: 'shared',
          permits: Number.POSITIVE_INFINITY,
          payload,
          payload$: payloads.pipe(filter((next, index) => index > 0 || next !== payload)),
          registered: true,
          onDrain: 'stay',
        });
        return place$.pipe(
          tap(() => {
            hasWaited = true;
          }),
          switchMap((place) => alone(place).pipe(map(() => place))),
          catchError((error) =>
            isError<BackendClosed>(error, 'BackendClosed') && hasWaited ? EMPTY : throwError(() => error),
          ),
        );
      }),
      map((place): Membership => {
        hasJoined = true;
        const { token } = place.entry;
        const lossOf = ({ reason, cause }: PlaceLost) => new MembershipLost(group, token, reason, cause);
        return {
          group,
          id,
          token,
          isValid: () => place.isValid(),
          signal: toldBy(place, lossOf).signal,
          leave: () => place.leave(),
        };
      }),
      retry({
        delay: (error) => {
          hasWaited = true;
          if (isError<PlaceLost>(error, 'PlaceLost')) return of(0);
          if (isError<GroupNotFound>(error, 'GroupNotFound') && create) return created(backend, roster);
          return throwError(() => error);
        },
      }),
    );
    subscriber.add(joining.subscribe(subscriber));
    if (!hasPayload) hasWaited = true;
  });
}

/** Emits when the group is there; completes without where the backend is closed meanwhile. */
function created(backend: Backend, roster: RosterKey): Observable<unknown> {
  return backend.register(roster).pipe(
    catchError((error) => {
      if (isError<BackendClosed>(error, 'BackendClosed')) return EMPTY;
      // Joining again shows whether it is there.
      return isError<OutcomeUnknown>(error, 'OutcomeUnknown') ? of(undefined) : throwError(() => error);
    }),
  );
}
