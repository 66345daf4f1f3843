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
import type { Timing } from './shared/options.js';

/** What an adapter implements, and all of it. The kernel makes a Backend of it. */
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
  /** The backend is closed and opens no session any more: what has outlived its sessions ends. Completes when it has. */
  release?(): Observable<never>;
}

/** What is proved of a session, by the clock of `provedMs`. */
export interface Proof {
  readonly provedMs: number;
  /** By how much wall time was ahead of that clock since then, at least: a machine that was suspended later shows by that. */
  readonly leastAheadMs: number;
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
  /** Conflicting entries before this one, capped at `permits`; any finite number where that is Infinity. */
  readonly ahead: number;
  /**
   * `true`: it is not others that keep it out. The store may have lost what it acknowledged, and admits nobody until all
   * from before have given up. `ahead` is `permits` as long as that lasts.
   */
  readonly barred?: boolean;
}

/** How the kernel asks an adapter to stand in line. */
export interface StandRequest {
  /** Made by the kernel, 32 hexadecimal digits: entering again under the same id finds the entry made before. */
  readonly id: string;
  /**
   * Called by the adapter when a request about this entry (`enter`, `update`, `leave`) goes out, each time: from then on
   * the entry may exist, and the time for the answer runs. An `enter` that is unsubscribed from before that, while it waits
   * in a queue of the adapter's own, is never sent.
   */
  sent(): void;
  readonly mode: Mode;
  readonly permits: number;
  readonly payload: Uint8Array;
  readonly registered: boolean;
}

/**
 * An open session. Every operation is cold; subscribing sends it. An operation fails with `Unavailable` when it may or
 * may not have happened, or did not: the kernel repeats it (all are idempotent) once the link is up. `SessionLost`
 * tells that the store has ended the session. Other CoordinationErrors go to the user; a refusal for size is one
 * (`InvalidPayload`).
 *
 * **Writes** (`evict`, `register`, `unregister`, `swap`) carry a `writeId`, as of `newId`. What a write has changed is
 * kept in the store under that id, in the same transaction, for as long as its session lives: asked again, it tells the
 * same and changes nothing, whatever others have done since; nor does an earlier copy of it that arrives late. One that
 * changed nothing may be tried anew. The kernel repeats a write in its own session only. A write that was sent once, and
 * answered, need not be kept any longer. No request of a session that has ended has any effect.
 *
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
  /**
   * For how many ms the store admits nobody yet, because it may have lost what it acknowledged: now, then each change; 0
   * when it admits. Absent where that never is.
   */
  readonly barredMs$?: Observable<number>;
  /**
   * Where a session renews itself while the event loop is blocked: what is proved by now, asked of nobody. `undefined`: it was
   * given up, and nothing may be relied on.
   */
  proof?(): Proof | undefined;
  /** Sends one renewal. Emits the send time of what is now proved, if anything newly is; completes. */
  renew(): Observable<number>;

  enter(roster: RosterKey, request: StandRequest): Observable<Standing>;
  /** Where the entry stands: at once, then each change. Errors with `PlaceLost` when the entry is gone. */
  place(roster: RosterKey, request: StandRequest, standing: Standing): Observable<number>;
  /** Replaces the payload. The one asked for last counts: what was overtaken on its way changes nothing any more. */
  update(roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void>;
  /**
   * Takes the entry out. `inDoubt`: an `enter` under this id may still be on its way and must not come to anything. Emits
   * whether it was there.
   */
  leave(roster: RosterKey, request: StandRequest, inDoubt: boolean): Observable<boolean>;

  entries(roster: RosterKey): Observable<readonly Entry[]>;
  /** Everybody in the roster, once, as of no earlier than the subscription; leaves nothing watched. Completes. */
  look(roster: RosterKey): Observable<readonly Entry[]>;
  /** A write. Whether the entry was there, and has been taken out. */
  evict(roster: RosterKey, entryId: string, writeId: string): Observable<boolean>;
  /** A write. `false`: it was registered before. */
  register(roster: RosterKey, writeId: string): Observable<boolean>;
  /** A write. */
  unregister(roster: RosterKey, writeId: string): Observable<'removed' | 'absent' | 'occupied'>;
  registered(kind: RosterKind): Observable<ReadonlySet<string>>;
  cell(key: string): Observable<Versioned | undefined>;
  /** A write. `current` of a repeated one: what the cell holds now, or held after the write. */
  swap(key: string, expected: Expected, value: Uint8Array | undefined, writeId: string): Observable<SwapResult>;

  /**
   * The goodbye: everything that stands in this session leaves, the session ends. Completes when the store has it.
   * `isLost`: it was given up here already, and nothing may be sent that would prolong it.
   */
  end(isLost: boolean): Observable<void>;
}
