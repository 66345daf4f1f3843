import {
  BehaviorSubject,
  catchError,
  defer,
  EMPTY,
  filter,
  forkJoin,
  map,
  NEVER,
  Observable,
  of,
  retry,
  Subject,
  switchMap,
  take,
  takeUntil,
  tap,
  throwError,
} from 'rxjs';
import type { Backend, EntryRequest, Place, RosterKey } from '../../backends/backend.js';
import {
  type BackendClosed,
  type GroupNotFound,
  MemberAlreadyExists,
  type OutcomeUnknown,
  type PlaceLost,
} from '../../backends/errors.js';
import { encodePayload, MAX_PAYLOAD_BYTES, RECORD_BYTES } from '../../backends/shared/codec.js';
import { ANYTHING, checkAll, FLAG, oneOf } from '../../backends/shared/expectations.js';
import { isError } from '../../backends/shared/is-error.js';
import { checkName } from '../../backends/shared/keys.js';
import { aborted } from '../holding/aborted.js';
import { withData } from '../holding/with-data.js';
import { lookAtMembers, type MemberEntry, type MemberRecord, memberEntries } from './member-map.js';
import { type LossOf, lossFrom, type Membership, membershipOf } from './membership.js';

/** Options of `join`. */
export interface JoinOptions {
  /** Who joins. Default: a new unique id for each subscription. */
  readonly id?: string;
  /**
   * Shown to everybody by `memberMap`. An Observable joins with its first value; each further one replaces the last. A further
   * one that cannot be encoded, or is too large, is reported on `faults$`, and the last stays.
   */
  readonly capabilities?: unknown;
  /** Create the group where it does not exist. Default `false`: then joining fails with `GroupNotFound`. */
  readonly create?: boolean;
  /**
   * Where another is in the group under this id. `fail`, the default: errors with `MemberAlreadyExists`. `wait`: joins when the
   * other is gone, be it by its ttl. `takeOver`: removes it, which is meant for a process that was started again under its id.
   * Who is removed is told, errors with `MembershipLost`, and does not come back by itself. One that is cut off from the store
   * learns only that its session is lost, up to its ttl later, and joins again when nobody is there under its id. Until then two believe to be that member: only resources that check the token tell
   * them apart. So use it where the earlier one is dead, or may be interrupted at any point.
   */
  readonly ifTaken?: 'fail' | 'wait' | 'takeOver';
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
 * **Errors** `MembershipLost` when it was removed, by `evictMember`, `deleteGroup` with `force`, or a `takeOver` of its id:
 * then it does not join again by itself, unless its session was lost before it heard of that. `GroupNotFound` without `create`; `MemberAlreadyExists` when another is in the group
 * under this id, who is not touched by that (`ifTaken` says otherwise); `InvalidName`, `InvalidOptions` (thrown at the call),
 * `InvalidPayload`, `AuthenticationFailed`, `PermissionDenied`; what `capabilities` errors with. Never on a lost connection.
 * **Completes** when the backend is closed. While it drains, a member stays one: whose work goes on is there. The drain does not
 * wait for that.
 * **Teardown** leaves; `backend.close()` waits for it.
 * **Guarantee** no two members of one id are seen by `members` and `memberMap`. One who joins again after a loss waits for
 * whoever has its id by then, whatever `ifTaken` says: an earlier self does not take over from a later one.
 * **Source** tooz `join_group`, `join_group_create`, `update_capabilities`, `leave_group`; kazoo `Party`.
 *
 * @example
 * join(backend, 'workers', { id: 'w1', capabilities: { zone: 'a' }, create: true }).subscribe();
 */
export function join(backend: Backend, group: string, options: JoinOptions = {}): Observable<Membership> {
  return joinAs(backend, group, options);
}

/** `join`, with what a recipe keeps in the record beside. */
export function joinAs(
  backend: Backend,
  group: string,
  options: JoinOptions,
  kept: Pick<MemberRecord, 'shares'> = {},
): Observable<Membership> {
  checkName(group);
  checkAll(options, {
    id: ANYTHING,
    capabilities: ANYTHING,
    create: FLAG,
    ifTaken: oneOf('fail', 'wait', 'takeOver'),
  });
  if (options.id !== undefined) checkName(options.id);
  return defer(() => {
    const { id = backend.newId(), create = false, ifTaken = 'fail' } = options;
    const owner = backend.newId();
    const encoded = new WeakMap<Uint8Array, unknown>();
    const encode = (capabilities: unknown): Uint8Array => {
      const subject = `member ${JSON.stringify(id)}`;
      // The limit is for what the user gives; what is kept with it comes on top.
      encodePayload(backend.codec, subject, capabilities);
      const record: MemberRecord = { id, owner, ...kept, capabilities };
      const payload = encodePayload(backend.codec, subject, record, MAX_PAYLOAD_BYTES + RECORD_BYTES);
      encoded.set(payload, capabilities);
      return payload;
    };
    const joining = { id, owner, create, ifTaken, capabilitiesIn: (payload: Uint8Array) => encoded.get(payload) };
    return membership(backend, group, joining, (enter) => withData(backend, options.capabilities, encode, enter));
  });
}

interface Joining extends Required<Pick<JoinOptions, 'id' | 'create' | 'ifTaken'>> {
  /** Tells one who joins again from another under the same id. */
  readonly owner: string;
  capabilitiesIn(payload: Uint8Array): unknown;
}

/** What one stands with; read again, it is the latest. */
type Stand = Pick<EntryRequest, 'payload' | 'payload$'>;

function membership(
  backend: Backend,
  group: string,
  { id, owner, create, ifTaken, capabilitiesIn }: Joining,
  withCapabilities: (enter: (stand: Stand) => Observable<Membership>) => Observable<Membership>,
): Observable<Membership> {
  const roster: RosterKey = { kind: 'group', name: group };
  let hasJoined = false;

  /** Those who have stood longer under this id. */
  const rivalsOf = ({ entry: mine }: Place, entries: readonly MemberEntry[]): readonly MemberEntry[] =>
    entries.filter(({ entry, record }) => record.id === id && record.owner !== owner && entry.token < mine.token);

  /** Emits when nobody has stood longer under this id. */
  const alone = (place: Place): Observable<unknown> =>
    lookAtMembers(backend, group).pipe(
      switchMap((entries) => {
        const rivals = rivalsOf(place, entries);
        if (rivals.length === 0) return of(entries);
        if (hasJoined || ifTaken === 'wait')
          return memberEntries(backend, group).pipe(
            filter((later) => rivalsOf(place, later).length === 0),
            take(1),
          );
        if (ifTaken === 'fail') throw new MemberAlreadyExists(group, id);
        return forkJoin(rivals.map(({ entry }) => backend.evict(roster, entry.id))).pipe(
          // Looking again shows whether they are there.
          catchError((error) =>
            isError<OutcomeUnknown>(error, 'OutcomeUnknown') ? alone(place) : throwError(() => error),
          ),
        );
      }),
    );

  return new Observable<Membership>((subscriber) => {
    /** It has waited for something: a backend that is closed by now was closed meanwhile. */
    let hasWaited = false;
    let hasBegun = false;
    /** The backend drains, and it is no member yet: it gives up. */
    const given = new Subject<void>();
    /** Of the place there is, or was last. */
    let lossOf: LossOf | undefined;
    const joining = (stand: Stand): Observable<Membership> => {
      hasBegun = true;
      let stored: BehaviorSubject<Uint8Array>;
      return defer(() => {
        lossOf = undefined;
        const { payload, payload$ } = stand;
        const mine = new BehaviorSubject(payload);
        stored = mine;
        return backend.enter(roster, {
          mode: 'shared',
          permits: Number.POSITIVE_INFINITY,
          payload,
          ...(payload$ && { payload$ }),
          stored: (later) => mine.next(later),
          registered: true,
          onDrain: 'stay',
        });
      }).pipe(
        switchMap((place) => {
          hasWaited = true;
          const loss = lossFrom(group, place);
          lossOf = loss;
          const drained$ = hasJoined ? NEVER : aborted(place.draining).pipe(tap(() => given.next()));
          return alone(place).pipe(
            takeUntil(drained$),
            map(() => {
              hasJoined = true;
              return membershipOf(group, id, place, loss, stored.pipe(map(capabilitiesIn)));
            }),
          );
        }),
        takeUntil(given),
        catchError((error) =>
          isError<BackendClosed>(error, 'BackendClosed') && hasWaited ? EMPTY : throwError(() => error),
        ),
        retry({
          delay: (error) => {
            hasWaited = true;
            if (isError<PlaceLost>(error, 'PlaceLost')) {
              const loss = error.reason === 'evicted' ? lossOf?.(error) : undefined;
              return loss === undefined ? of(0) : throwError(() => loss);
            }
            if (isError<GroupNotFound>(error, 'GroupNotFound') && create) return created(backend, roster);
            return throwError(() => error);
          },
        }),
      );
    };
    subscriber.add(withCapabilities(joining).subscribe(subscriber));
    if (!hasBegun) hasWaited = true;
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
