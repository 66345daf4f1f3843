import { combineLatest, distinctUntilChanged, map, type Observable, tap } from 'rxjs';
import type { Backend, Entry, RosterKey } from '../../backends/backend.js';
import { GroupNotFound } from '../../backends/errors.js';
import { checkAll, FLAG } from '../../backends/shared/expectations.js';
import { checkName } from '../../backends/shared/keys.js';
import { isSome } from '../../backends/shared/option.js';
import { decoded } from '../holding/contender.js';

/** A member of a group, as everybody sees it. */
export interface Member {
  readonly id: string;
  readonly capabilities: unknown;
  /** Changes when the member leaves and joins again. */
  readonly token: bigint;
}

/** Options of `members` and `memberMap`. */
export interface MembersOptions {
  /** The group must exist: errors with `GroupNotFound` where it does not, or no longer. Default `false`: then it has no members. */
  readonly required?: boolean;
}

/** What a member's entry carries. `owner` tells a member that joins again from another one under the same id. */
export interface MemberRecord {
  readonly id: string;
  readonly owner: string;
  /** It takes part in `partition`, and did not only join the group. */
  readonly shares?: boolean;
  readonly capabilities?: unknown;
}

/**
 * Emits the members of `group` with their capabilities.
 *
 * Looking never takes part.
 *
 *     output   {}--{a}--{a,b}--{a',b}----{b}--
 *
 * **Emits** the members on subscribe (as soon as the store has answered), then after each joining, leaving, or change of
 * capabilities. A group that does not exist has no members, unless it is `required`. Silent while disconnected; never a false
 * empty map.
 * **Errors** `InvalidName`, `InvalidOptions` (thrown at the call), `AuthenticationFailed`, `PermissionDenied`. `GroupNotFound`
 * where the group is `required`, and does not exist, or is deleted. Never on a lost connection. A payload that cannot be read is
 * reported on `faults$` and skipped.
 * **Completes** when the backend is closed.
 * **Teardown** stops looking.
 * **Guarantee** a member that died is gone within `ttlMs` + 1 s; one whose session lives is never missing. Not: that each
 * intermediate map is seen, nor that a group was deleted and created again between two looks.
 * **Source** tooz `get_members_with_capabilities`, kazoo `Party`.
 *
 * @example
 * memberMap(backend, 'workers').subscribe((map) => console.log(map.get('w1')?.capabilities));
 */
export function memberMap(
  backend: Backend,
  group: string,
  options: MembersOptions = {},
): Observable<ReadonlyMap<string, Member>> {
  checkAll(options, { required: FLAG });
  const entries$ = memberEntries(backend, group);
  return (options.required === true ? whileThere(backend, group, entries$) : entries$).pipe(toMembers);
}

/** Whenever it has changed who is there, or with which capabilities. */
export function toMembers(entries$: Observable<readonly MemberEntry[]>): Observable<ReadonlyMap<string, Member>> {
  return entries$.pipe(map(presentMembers), distinctUntilChanged(sameMembers));
}

/** What `source` tells, once it is known that the group exists. Errors where it does not. */
function whileThere<T>(backend: Backend, group: string, source: Observable<T>): Observable<T> {
  const isThere$ = backend.registered('group').pipe(
    map((names) => names.has(group)),
    distinctUntilChanged(),
    tap((isThere) => {
      if (!isThere) throw new GroupNotFound(group);
    }),
  );
  return combineLatest([isThere$, source]).pipe(map(([, value]) => value));
}

/** An entry of a group whose payload is a member's. */
export interface MemberEntry {
  readonly entry: Entry;
  readonly record: MemberRecord;
}

/** Who stands in the group, in the order of tokens; two may have the same id until the later one has seen it. */
export function memberEntries(backend: Backend, group: string): Observable<readonly MemberEntry[]> {
  return asMembers(backend, group, (roster) => backend.entries(roster));
}

/** The same, once, without watching anybody. */
export function lookAtMembers(backend: Backend, group: string): Observable<readonly MemberEntry[]> {
  return asMembers(backend, group, (roster) => backend.look(roster));
}

function asMembers(
  backend: Backend,
  group: string,
  entriesOf: (roster: RosterKey) => Observable<readonly Entry[]>,
): Observable<readonly MemberEntry[]> {
  const subject = `group ${JSON.stringify(checkName(group))}`;
  const read = (value: unknown): MemberRecord => {
    if (isMemberRecord(value)) return value;
    throw new TypeError('it is not a member: { id, owner, capabilities }');
  };
  return entriesOf({ kind: 'group', name: group }).pipe(
    decoded(backend, subject, read),
    map((entries) => entries.flatMap(({ entry, value }) => (isSome(value) ? [{ entry, record: value.value }] : []))),
  );
}

/**
 * The members that several entries make. An id belongs to whoever has stood under it longest; an owner who has joined
 * again, while its lost session is still in the store, counts by its latest entry.
 */
function presentMembers(entries: readonly MemberEntry[]): ReadonlyMap<string, Member> {
  const owners = new Map<string, string>();
  const members = new Map<string, Member>();
  for (const { entry, record } of entries) {
    const { id, owner, capabilities } = record;
    if ((owners.get(id) ?? owner) !== owner) continue;
    owners.set(id, owner);
    members.set(id, { id, capabilities, token: entry.token });
  }
  return members;
}

function isMemberRecord(value: unknown): value is MemberRecord {
  return (
    typeof value === 'object' &&
    value !== null &&
    'id' in value &&
    typeof value.id === 'string' &&
    'owner' in value &&
    typeof value.owner === 'string'
  );
}

/** Capabilities are decoded once for each write, so the same write gives the same value. */
function sameMembers(before: ReadonlyMap<string, Member>, after: ReadonlyMap<string, Member>): boolean {
  if (before.size !== after.size) return false;
  for (const [id, { token, capabilities }] of after) {
    const member = before.get(id);
    if (member?.token !== token || member.capabilities !== capabilities) return false;
  }
  return true;
}
