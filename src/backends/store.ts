import type { Observable, SchedulerLike } from 'rxjs';
import type {
  Characteristics,
  Entry,
  Expected,
  Mode,
  RosterKey,
  RosterKind,
  SwapResult,
  Versioned,
} from './backend.js';
import type { CoordinationError } from './errors.js';
import type { Timing } from './options.js';

/** What an adapter implements, and all of it. The kernel in session.ts makes a Backend of it. */
export interface Store {
  readonly name: string;
  /** For messages: host and port, never the password. */
  readonly address: string;
  readonly characteristics: Characteristics;
  /**
   * Opens one session. Emits it once, and keeps its link up (reconnecting by itself) until unsubscribed, which cuts
   * the link at once, without a goodbye. Errors when the session cannot be opened: `AuthenticationFailed` and other
   * errors that cannot heal end the backend, `Unavailable` is tried again by the kernel, with back-off.
   */
  open(context: StoreContext): Observable<StoreSession>;
}

/** What the kernel hands to an adapter. */
export interface StoreContext {
  readonly timing: Timing;
  /** Monotonic milliseconds: the clock of `provedMs` and `renew`. */
  now(): number;
  /** For everything in an adapter that waits. */
  readonly scheduler: SchedulerLike;
  /** Reports what went wrong without ending anything. */
  fault(fault: CoordinationError): void;
  /** 32 hexadecimal digits, unique. */
  newId(): string;
}

/** One entry as its own adapter knows it. Adapters extend it with what they need to find it again. */
export interface Standing {
  readonly entry: Entry;
  /** Conflicting entries before this one, capped at `permits`; 0 where `permits` is Infinity. */
  readonly ahead: number;
}

/** How the kernel asks an adapter to stand in line. */
export interface StandRequest {
  /** Made by the kernel, 32 hexadecimal digits: entering again under the same id finds the entry made before. */
  readonly id: string;
  readonly mode: Mode;
  readonly permits: number;
  readonly payload: Uint8Array;
  readonly registered: boolean;
}

/**
 * An open session. Every operation is cold; subscribing sends it. An operation fails with `Unavailable` when it may or
 * may not have happened, or did not: the kernel repeats it (all are idempotent) once the link is up. `SessionLost`
 * tells that the store has ended the session. Other CoordinationErrors go to the user.
 * Streams (`place`, `entries`, `registered`, `cell`) error with `Unavailable` when the link breaks, and are subscribed
 * to again when it is back.
 */
export interface StoreSession {
  readonly id: string;
  /** The lifetime the server granted, which may differ from the one asked for. */
  readonly ttlMs: number;
  /** When the request that made the session was SENT: the first proof. */
  readonly provedMs: number;
  /** Whether the link is up, the current state first. Errors with `SessionLost` when the store has ended the session. */
  readonly link$: Observable<boolean>;
  /** Sends one renewal. Emits the send time of what is now proved, if anything newly is; completes. */
  renew(): Observable<number>;

  enter(roster: RosterKey, request: StandRequest): Observable<Standing>;
  /** Where the entry stands: at once, then each change. Errors with `PlaceLost` when the entry is gone. */
  place(roster: RosterKey, request: StandRequest, standing: Standing): Observable<number>;
  update(roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void>;
  /** Takes the entry out. `inDoubt`: an `enter` under this id may still be on its way and must not come to anything. */
  leave(roster: RosterKey, request: StandRequest, inDoubt: boolean): Observable<void>;

  entries(roster: RosterKey): Observable<readonly Entry[]>;
  evict(roster: RosterKey, entryId: string): Observable<boolean>;
  /** `writeId` is kept, so that a repeated registration is known for the first: `true` again. */
  register(roster: RosterKey, writeId: string): Observable<boolean>;
  unregister(roster: RosterKey): Observable<'removed' | 'absent' | 'occupied'>;
  registered(kind: RosterKind): Observable<ReadonlySet<string>>;
  cell(key: string): Observable<Versioned | undefined>;
  /** `writeId` (as of `newId`) is kept with the value, so that a repeated write is known for its first: `swapped` again. */
  swap(key: string, expected: Expected, value: Uint8Array | undefined, writeId: string): Observable<SwapResult>;

  /**
   * The goodbye: everything that stands in this session leaves, the session ends. Completes when the store has it.
   * `isLost`: it was given up here already, and nothing may be sent that would prolong it.
   */
  end(isLost: boolean): Observable<void>;
}
