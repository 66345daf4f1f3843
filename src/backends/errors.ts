/**
 * The one hierarchy of errors. Each has a literal `name` and `_tag` to match on, the ids it is about as
 * fields, and the vendor's error as `cause`. The message says what happened, to which thing, and what to do.
 */
export abstract class CoordinationError extends Error {
  abstract readonly _tag: string;
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
  }

  /** `false`: trying again does not help, since something else must be called, configured or permitted; or it may do the same twice. */
  get canHeal(): boolean {
    return true;
  }
}

/** Whether it may help to try again: not after an error whose `canHeal` is `false`. What others throw may always pass. */
export function canHeal(error: unknown): boolean {
  return typeof error !== 'object' || error === null || !('canHeal' in error) || error.canHeal !== false;
}

/** One of those after which trying the same again does not help. */
abstract class LastingError extends CoordinationError {
  override get canHeal(): boolean {
    return false;
  }
}

/** Which store an error is about. `address` is for people: host and port, never the password. */
export interface StoreLocation {
  readonly name: string;
  readonly address: string;
}

/** An error that names a store, and where it is if whoever made the error knew. */
abstract class StoreError extends CoordinationError {
  readonly backend: string;
  readonly address: string | undefined;
  constructor(store: string | StoreLocation, message: (store: string) => string, cause?: unknown) {
    super(message(typeof store === 'string' ? store : `${store.name} at ${store.address}`), cause);
    this.backend = typeof store === 'string' ? store : store.name;
    this.address = typeof store === 'string' ? undefined : store.address;
  }
}

/** One of those after which trying the same again does not help. */
abstract class LastingStoreError extends StoreError {
  override get canHeal(): boolean {
    return false;
  }
}

/** A name that cannot be used: empty, not well-formed Unicode, or over 512 bytes of UTF-8. */
export class InvalidName extends LastingError {
  readonly _tag = 'InvalidName';
  override readonly name = 'InvalidName';
  constructor(
    readonly invalidName: unknown,
    readonly reason: string,
  ) {
    super(`Invalid name${typeof invalidName === 'string' ? ` ${JSON.stringify(invalidName)}` : ''}: ${reason}.`);
  }
}

/** Options that are out of range, unknown, or contradict each other. `violations` has one sentence for each. */
export class InvalidOptions extends LastingError {
  readonly _tag = 'InvalidOptions';
  override readonly name = 'InvalidOptions';
  constructor(readonly violations: readonly string[]) {
    super(`Invalid options: ${violations.join('; ')}.`);
  }
}

/** A connection URL that cannot be read. The message never repeats the password. */
export class InvalidUrl extends LastingError {
  readonly _tag = 'InvalidUrl';
  override readonly name = 'InvalidUrl';
  constructor(
    readonly url: string,
    readonly reason: string,
  ) {
    super(`Invalid URL ${JSON.stringify(url)}: ${reason}.`);
  }
}

/** No backend goes by the URL's scheme. `known` are those built in and those registered. */
export class UnknownScheme extends LastingError {
  readonly _tag = 'UnknownScheme';
  override readonly name = 'UnknownScheme';
  constructor(
    readonly scheme: string,
    readonly known: readonly string[],
  ) {
    super(`Unknown scheme "${scheme}:". Known are ${known.map((k) => `${k}:`).join(', ')}.`);
  }
}

/** The optional package that talks to this store is not installed. */
export class MissingPackage extends LastingError {
  readonly _tag = 'MissingPackage';
  override readonly name = 'MissingPackage';
  constructor(
    readonly packageName: string,
    readonly backend: string,
    cause?: unknown,
  ) {
    super(
      `The ${backend} backend needs the package "${packageName}", which is not installed: npm install ${packageName}`,
      cause,
    );
  }
}

/** The store could not be reached within `failFastMs`. Without that option it is retried for ever. */
export class ConnectionRefused extends CoordinationError {
  readonly _tag = 'ConnectionRefused';
  override readonly name = 'ConnectionRefused';
  constructor(
    readonly backend: string,
    readonly address: string,
    readonly failFastMs: number,
    cause?: unknown,
  ) {
    super(
      `Could not reach ${backend} at ${address} within ${failFastMs} ms (${reasonOf(cause)}). Is it running, and is the address right?`,
      cause,
    );
  }
}

/** The store refused the user name or password, or they are missing. Not retried: waiting does not heal it. */
export class AuthenticationFailed extends LastingError {
  readonly _tag = 'AuthenticationFailed';
  override readonly name = 'AuthenticationFailed';
  constructor(
    readonly backend: string,
    readonly address: string,
    cause?: unknown,
  ) {
    super(
      `${backend} at ${address} refused the credentials (${reasonOf(cause)}). Check user and password in the URL or options.`,
      cause,
    );
  }
}

/** The store knows the user but does not allow what was asked. */
export class PermissionDenied extends LastingStoreError {
  readonly _tag = 'PermissionDenied';
  override readonly name = 'PermissionDenied';
  constructor(
    store: string | StoreLocation,
    readonly operation: string,
    cause?: unknown,
    /** What to do, in a sentence without its full stop. */
    remedy = "Extend the user's rights",
  ) {
    super(store, (where) => `${where} does not permit "${operation}" (${reasonOf(cause)}). ${remedy}.`, cause);
  }
}

/** The store cannot do what was asked: see its `characteristics`. */
export class NotSupported extends LastingError {
  readonly _tag = 'NotSupported';
  override readonly name = 'NotSupported';
  constructor(
    readonly backend: string,
    readonly feature: string,
    cause?: unknown,
  ) {
    super(`The ${backend} backend does not support ${feature}.`, cause);
  }
}

/**
 * `close()` was called on the backend; nothing can be started on it any more, also while it drains. A `signal` aborts with it
 * when the backend closes.
 */
export class BackendClosed extends LastingError {
  readonly _tag = 'BackendClosed';
  override readonly name = 'BackendClosed';
  constructor(
    readonly backend: string,
    /** `draining`: what had begun goes on. */
    readonly state: 'draining' | 'closed' = 'closed',
  ) {
    super(
      state === 'closed'
        ? `The ${backend} backend is closed. Connect a new one.`
        : `The ${backend} backend drains: what has begun goes on, and nothing new begins. Take all that the work needs before` +
            ' it begins (`withLocks`, `lockAll`), or before `grant.draining` aborts.',
    );
  }
}

/** The group was not created, or was deleted. */
export class GroupNotFound extends CoordinationError {
  readonly _tag = 'GroupNotFound';
  override readonly name = 'GroupNotFound';
  constructor(readonly group: string) {
    super(`Group ${JSON.stringify(group)} does not exist. Create it with createGroup, or join with { create: true }.`);
  }
}

/** The group exists already. */
export class GroupAlreadyExists extends CoordinationError {
  readonly _tag = 'GroupAlreadyExists';
  override readonly name = 'GroupAlreadyExists';
  constructor(readonly group: string) {
    super(`Group ${JSON.stringify(group)} exists already.`);
  }
}

/** The group still has members and cannot be deleted. */
export class GroupNotEmpty extends CoordinationError {
  readonly _tag = 'GroupNotEmpty';
  override readonly name = 'GroupNotEmpty';
  constructor(readonly group: string) {
    super(`Group ${JSON.stringify(group)} still has members. Let them leave first, or delete it with { force: true }.`);
  }
}

/** Somebody else is in the group under this id. */
export class MemberAlreadyExists extends CoordinationError {
  readonly _tag = 'MemberAlreadyExists';
  override readonly name = 'MemberAlreadyExists';
  constructor(
    readonly group: string,
    readonly memberId: string,
  ) {
    super(
      `Group ${JSON.stringify(group)} already has a member ${JSON.stringify(memberId)}. Choose another id; or, if it may be an earlier self of yours, join with { ifTaken: 'wait' }, or with { ifTaken: 'takeOver' }, which removes it.`,
    );
  }
}

/** One who holds something, as an error names it. */
export interface HolderInfo {
  /** As `holders` shows it. */
  readonly id: string;
  readonly token: bigint;
  /** What it gave as `data`, if it gave anything that can be read. */
  readonly data?: unknown;
}

/**
 * The lock was not free within `waitMs`. `reason`: others hold it (`held`), or wait in front; the store admits nobody yet, since it
 * was started or may have lost data (`barred`); it has not answered at all (`unreachable`). `holders`: who held it shortly
 * before, if the store has told.
 */
export class LockNotAcquired extends CoordinationError {
  readonly _tag = 'LockNotAcquired';
  override readonly name = 'LockNotAcquired';
  constructor(
    readonly lock: string,
    readonly waitMs: number,
    readonly reason: 'held' | 'barred' | 'unreachable' = 'held',
    readonly holders: readonly HolderInfo[] = [],
  ) {
    super(`Lock ${JSON.stringify(lock)} was not acquired within ${waitMs} ms: ${whyNot(reason, holders)}`);
  }
}

function whyNot(reason: LockNotAcquired['reason'], holders: readonly HolderInfo[]): string {
  switch (reason) {
    case 'unreachable':
      return 'the store has not answered. See status and faults$ for why.';
    case 'barred':
      return 'the store may have lost data, and admits nobody for up to the ttl. Wait for longer, or try again then.';
    case 'held':
      return holders.length === 0
        ? 'it is held by others. Wait for longer, or ask holders who has it.'
        : `it is held by ${holders.map(named).join(', ')}. Wait for longer, or ask them to let go.`;
  }
}

function named({ id, token, data }: HolderInfo): string {
  return `${data === undefined ? id : inWords(data)} (token ${token})`;
}

/** What a codec gave may be anything. */
function inWords(data: unknown): string {
  try {
    return JSON.stringify(data) ?? String(data);
  } catch {
    return String(data);
  }
}

/** Those who stand in line for this semaphore go by another number of permits. */
export class PermitsMismatch extends CoordinationError {
  readonly _tag = 'PermitsMismatch';
  override readonly name = 'PermitsMismatch';
  constructor(
    readonly semaphore: string,
    /** What was asked for. */
    readonly permits: number,
    /** What the others go by. */
    readonly otherPermits: number,
  ) {
    super(
      `Semaphore ${JSON.stringify(semaphore)} was asked for with ${permits} permits, and those who stand there go by ${otherPermits} (a lock is one). Use one number for each name; to change it, take another name, or wait until all have left.`,
    );
  }
}

/**
 * What `tryLock` gives on its left side: somebody else holds the lock (`held`); or nobody is admitted for now, since the
 * store was started or lost data, until whoever held something before must have given it up (`barred`).
 */
export class Contended extends CoordinationError {
  readonly _tag = 'Contended';
  override readonly name = 'Contended';
  constructor(
    readonly lock: string,
    readonly reason: 'held' | 'barred' = 'held',
  ) {
    const name = JSON.stringify(lock);
    super(
      reason === 'held'
        ? `Lock ${name} is held by another.`
        : `Lock ${name} cannot be acquired yet: the store may have lost data, and admits nobody for up to the ttl. Try again then, or wait for it with lock.`,
    );
  }
}

/** Why a place in a roster came to its end without its owner's doing. */
export type LossReason = 'session lost' | 'evicted' | 'held too long';

/** The lock is not held any longer; the work under it must stop. Subscribing again acquires it again. */
export class LockLost extends CoordinationError {
  readonly _tag = 'LockLost';
  override readonly name = 'LockLost';
  constructor(
    readonly lock: string,
    readonly token: bigint,
    readonly reason: LossReason,
    cause?: unknown,
  ) {
    super(
      `Lock ${JSON.stringify(lock)} (token ${token}) was lost: ${reason}${because(cause)}. Stop the work under it.`,
      cause,
    );
  }
}

/** The election is not led any longer: what the grant's `signal` aborts with. The candidate stands again by itself. */
export class LeadershipLost extends CoordinationError {
  readonly _tag = 'LeadershipLost';
  override readonly name = 'LeadershipLost';
  constructor(
    readonly election: string,
    readonly token: bigint,
    readonly reason: LossReason,
    cause?: unknown,
  ) {
    super(
      `The lead of election ${JSON.stringify(election)} (token ${token}) was lost: ${reason}${because(cause)}. Stop the work of the leader.`,
      cause,
    );
  }
}

/** Nobody stands in the election under this id, or not any longer. */
export class CandidateNotFound extends CoordinationError {
  readonly _tag = 'CandidateNotFound';
  override readonly name = 'CandidateNotFound';
  constructor(
    readonly election: string,
    readonly candidateId: string,
  ) {
    super(
      `No candidate ${JSON.stringify(candidateId)} stands in election ${JSON.stringify(election)}. Ask candidates who does: an entry's id changes whenever it stands again, the id given to campaign does not.`,
    );
  }
}

/**
 * A later candidate of the same `id` has taken the place of this one, with `takeOver`. It does not stand again by itself:
 * it would take the place back.
 */
export class CandidateReplaced extends LastingError {
  readonly _tag = 'CandidateReplaced';
  override readonly name = 'CandidateReplaced';
  constructor(
    readonly election: string,
    readonly candidateId: string,
  ) {
    super(
      `Candidate ${JSON.stringify(candidateId)} of election ${JSON.stringify(election)} was replaced by a later one of the same id. If that is another process, give one of them another id; if it is this one started anew, end the earlier.`,
    );
  }
}

/**
 * One is not a member any longer: what the membership's `signal` aborts with. After `session lost` it joins again by itself.
 * After `evicted`, somebody has removed it, or taken its id over: then `join` errors with this, too.
 */
export class MembershipLost extends CoordinationError {
  readonly _tag = 'MembershipLost';
  override readonly name = 'MembershipLost';
  constructor(
    readonly group: string,
    readonly token: bigint,
    readonly reason: LossReason,
    cause?: unknown,
  ) {
    super(
      `The membership in group ${JSON.stringify(group)} (token ${token}) was lost: ${reason}${because(cause)}. ${reason === 'evicted' ? 'Somebody has removed it, or taken its id over; join again only if that was not meant to last.' : 'It joins again by itself.'}`,
      cause,
    );
  }
}

/**
 * What a `signal` aborts with where nothing was lost: its owner has unsubscribed, or the work has come to its end. After
 * `await firstValueFrom(lock(…))` that is at once: the first value ends the subscription.
 */
export class Released extends CoordinationError {
  readonly _tag = 'Released';
  override readonly name = 'Released';
  constructor(
    readonly roster: string,
    why = 'the subscription ended. Do within it what needs the hold: withLock and withLeadership see to that.',
  ) {
    super(`The hold on ${roster} was released: ${why}`);
  }
}

/** What a gate with `onLoss: 'error'` gives when it closes. */
export class GateClosed extends CoordinationError {
  readonly _tag = 'GateClosed';
  override readonly name = 'GateClosed';
  constructor() {
    super('The gate closed: what it depended on is not held any longer.');
  }
}

/** A place in a roster ended without its owner's doing: the port's own word, which each primitive translates. */
export class PlaceLost extends CoordinationError {
  readonly _tag = 'PlaceLost';
  override readonly name = 'PlaceLost';
  constructor(
    readonly roster: string,
    readonly reason: LossReason,
    cause?: unknown,
  ) {
    super(`The place in ${roster} was lost: ${reason}${because(cause)}.`, cause);
  }
}

/** The session came to its end: the deadline passed, or the store said so. A new one opens by itself. */
export class SessionLost extends CoordinationError {
  readonly _tag = 'SessionLost';
  override readonly name = 'SessionLost';
  constructor(
    readonly sessionId: string,
    readonly reason: string,
    /** `true`: the store said so. `false`: the deadline passed here. */
    readonly byStore: boolean,
    cause?: unknown,
  ) {
    super(`Session ${sessionId} is lost: ${reason}${because(cause)}.`, cause);
  }
}

/** A passing failure of the store or the way to it. The library retries it; it shows in `status` and `faults$` only. */
export class Unavailable extends StoreError {
  readonly _tag = 'Unavailable';
  override readonly name = 'Unavailable';
  constructor(
    store: string | StoreLocation,
    readonly operation: string,
    cause?: unknown,
  ) {
    super(store, (where) => `${where} did not carry out "${operation}" (${reasonOf(cause)}). It is retried.`, cause);
  }
}

/**
 * The session was lost while the store's answer to a write was awaited, or the write was repeated and then refused. It may
 * have been carried out. Not retried: that might do it twice.
 */
export class OutcomeUnknown extends LastingStoreError {
  readonly _tag = 'OutcomeUnknown';
  override readonly name = 'OutcomeUnknown';
  constructor(
    store: string | StoreLocation,
    readonly operation: string,
    cause?: unknown,
  ) {
    super(
      store,
      (where) =>
        `Whether ${where} has carried out "${operation}" is not known (${reasonOf(cause)}). Look, then decide whether to do it again.`,
      cause,
    );
  }
}

/** The payload is over the limit, or the codec could not encode it. Nothing was sent. */
export class InvalidPayload extends LastingError {
  readonly _tag = 'InvalidPayload';
  override readonly name = 'InvalidPayload';
  constructor(
    readonly subject: string,
    readonly reason: string,
    cause?: unknown,
  ) {
    super(`The payload of ${subject} cannot be stored: ${reason}.`, cause);
  }
}

/** The runner of a tick died, or lost the lead, while it worked. The work may have been done, in part or as a whole. */
export class TickInterrupted extends LastingError {
  readonly _tag = 'TickInterrupted';
  override readonly name = 'TickInterrupted';
  constructor(
    readonly schedule: string,
    readonly date: Date,
    /** Of the runner. */
    readonly token: bigint,
  ) {
    const tick = `the tick ${date.toISOString()} of schedule ${JSON.stringify(schedule)}`;
    super(
      `The runner of ${tick} (token ${token}) died or lost the lead before the work had ended. It is not done again, unless delivery is 'at-least-once'.`,
    );
  }
}

/** Something in the store that this codec cannot read. It is skipped and reported on `faults$`. */
export class UndecodablePayload extends CoordinationError {
  readonly _tag = 'UndecodablePayload';
  override readonly name = 'UndecodablePayload';
  constructor(
    readonly subject: string,
    cause?: unknown,
  ) {
    super(`The payload of ${subject} cannot be decoded (${reasonOf(cause)}). It was skipped.`, cause);
  }
}

/**
 * A release is not confirmed yet, or never will be. It is tried again while the session lives; the entry ends with the
 * session at the latest. Until then others may wait for it.
 */
export class ReleaseFailed extends StoreError {
  readonly _tag = 'ReleaseFailed';
  override readonly name = 'ReleaseFailed';
  constructor(
    store: string | StoreLocation,
    readonly subject: string,
    cause?: unknown,
  ) {
    super(
      store,
      (where) =>
        `${where} has not confirmed the release of ${subject} (${reasonOf(cause)}). It ends with the session at the latest; others may wait for it until then.`,
      cause,
    );
  }
}

/**
 * A template of names that cannot be read, or a `field` of it that cannot be filled in: it is not there, or nothing that can
 * stand in a name.
 */
export class InvalidTemplate extends LastingError {
  readonly _tag = 'InvalidTemplate';
  override readonly name = 'InvalidTemplate';
  constructor(
    readonly template: unknown,
    readonly reason: string,
    /** As it stands between the braces. */
    readonly field?: string,
    cause?: unknown,
  ) {
    const which = typeof template === 'string' ? ` ${JSON.stringify(template)}` : '';
    const what = field === undefined ? '' : `{${field}} cannot be filled in, since `;
    super(`Invalid template${which}: ${what}${reason}${because(cause)}.`, cause);
  }
}

function reasonOf(cause: unknown): string {
  if (cause instanceof Error) return `${cause.message || cause.name}`;
  // What is no Error may have a toString that throws.
  if (typeof cause === 'object' || typeof cause === 'function')
    return cause === null ? 'no reason given' : `a ${typeof cause}`;
  return cause === undefined ? 'no reason given' : String(cause);
}

function because(cause: unknown): string {
  return cause === undefined ? '' : ` (${reasonOf(cause)})`;
}
