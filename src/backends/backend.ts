import type { Observable, ObservableInput, SchedulerLike } from 'rxjs';
import type { CoordinationError } from './errors.js';

/** What a roster is for. Rosters of different kinds never meet, whatever their names. */
export type RosterKind = 'group' | 'election' | 'lock';

/** Names one ordered list of live entries. */
export interface RosterKey {
  readonly kind: RosterKind;
  readonly name: string;
}

/** `shared` entries do not conflict with each other; `exclusive` ones conflict with everything. */
export type Mode = 'exclusive' | 'shared';

/** One who stands in a roster, as everybody sees it. */
export interface Entry {
  /** Made by the store's adapter; unique in its roster, and what `evict` takes. */
  readonly id: string;
  /** Grows with every entry ever made in the roster; of an admitted entry it is the fencing token. */
  readonly token: bigint;
  readonly mode: Mode;
  /**
   * As it was asked for: fewer than this many conflicting entries stand before one that is admitted. Of another client's that
   * tells no number: Infinity when it is admitted, 0 as long as it waits.
   */
  readonly permits: number;
  readonly payload: Uint8Array;
}

/** How to stand in a roster. */
export interface EntryRequest {
  readonly mode: Mode;
  /** The entry is admitted when fewer than this many conflicting entries stand before it. */
  readonly permits: number;
  readonly payload: Uint8Array;
  /**
   * Each value replaces the payload; the token and the place in line stay. One that the store refuses for its size is
   * reported, and the last stays.
   */
  readonly payload$?: Observable<Uint8Array>;
  /** Told each value of `payload$` that the store has, but for those that were overtaken before they were sent. */
  readonly stored?: (payload: Uint8Array) => void;
  /** `false`: if not admitted at once, leave, and emit that place when nothing is left in line. Default `true`. */
  readonly wait?: boolean;
  /** `true`: fails with `GroupNotFound` unless the roster was registered. Default `false`. */
  readonly registered?: boolean;
  /**
   * What must have come to its end before the entry leaves. It is waited for as long as the session lives, and at
   * `close()` until the deadline that holds then. Unsubscribed from before it completes: the entry goes without it.
   */
  readonly beforeLeave?: () => ObservableInput<unknown>;
  /**
   * What becomes of the entry when the backend drains, once it is admitted; before that it leaves. `leave`: it leaves at
   * once. `work`: it stays until its owner unsubscribes, and the drain lasts as long. `stay`: it stays until the drain is
   * over. Default `leave`.
   */
  readonly onDrain?: 'leave' | 'work' | 'stay';
}

/** A scheduler that may also know the wall clock, which runs on while a suspended machine's monotonic clock stands. */
export interface ClockLike extends SchedulerLike {
  /** In ms since 1970. */
  wallNow?(): number;
}

/** How a backend is closed. */
export interface CloseOptions {
  /**
   * For how long work in progress may go on. Until then nothing new starts, and the session is renewed. Default 0: it is
   * ended at once. Then, work that is a promise and goes on all the same is waited for until the deadline of the session, up to
   * one `ttlMs` later. While it drains already: it ends no later than so long from now; by default, when it would have.
   */
  readonly drainMs?: number | undefined;
}

/** Where one's own entry stands now. */
export interface Place {
  readonly entry: Entry;
  readonly admitted: boolean;
  /** Conflicting entries before this one when this was told, capped at `permits`; 0 where that is Infinity. */
  readonly ahead: number;
  /** `true`: not others keep it out, but the store, which may have lost data, and admits nobody for now. */
  readonly barred?: boolean;
  /** Whether the entry is admitted, not left, and its session's deadline has not passed: asked of the clock, now. */
  isValid(): boolean;
  /**
   * Aborts when the entry is lost or left, with the reason: `PlaceLost`; `Released`; `BackendClosed`; what `enter` errors
   * with.
   */
  readonly signal: AbortSignal;
  /** Aborts when the backend drains or closes. While it drains, what is admitted stays so, and is valid. */
  readonly draining: AbortSignal;
  /** For how many ms it stays valid, if the session is not renewed meanwhile: asked of the clock, now. */
  remainingMs(): number;
  /**
   * Leaves at the call, after what `first` gives rather than `beforeLeave`; the stream completes. What is returned tells, once
   * the store has it, whether the entry was admitted and stood there until then.
   */
  leave(first?: ObservableInput<unknown>): Observable<boolean>;
}

/**
 * A session with the store: what is held is held in one, and ends with it. `barredMs`: the store admits nobody for so long
 * yet, since it was started or lost data just now; who waits is admitted then. `draining`: nothing new is held, and what is
 * held is given up when it has come to its end; whatever becomes of the session meanwhile is told to who holds something.
 */
export type Session =
  | { readonly state: 'connecting'; readonly attempt: number; readonly cause?: CoordinationError }
  | { readonly state: 'live'; readonly id: string; readonly barredMs?: number }
  | { readonly state: 'suspended'; readonly id: string; readonly cause?: CoordinationError }
  | { readonly state: 'lost'; readonly id: string; readonly cause: CoordinationError }
  | { readonly state: 'draining' };

/** What a store can promise. Each is shown by a test of the conformance suite. */
export interface Characteristics {
  /** Processes on several machines share it. */
  readonly distributed: boolean;
  /** Admission is first come, first served. */
  readonly fair: boolean;
  /** Tokens keep growing when the store restarts with its data. */
  readonly tokensSurviveRestart: boolean;
  /** Tokens keep growing when the store loses its data. */
  readonly tokensSurviveDataLoss: boolean;
  /** What was acknowledged is never lost by a fail-over of the store: there is no asynchronous replication. */
  readonly consistentFailover: boolean;
  /** Cells can be compared and set. */
  readonly cells: boolean;
  /** What the store cannot promise, in a sentence each, for people. */
  readonly caveats: readonly string[];
}

/** A value and its version. The version changes with each write and never returns to an earlier one. */
export interface Versioned {
  readonly value: Uint8Array;
  readonly version: bigint;
}

/** What a cell must be like for a write to happen: a version, `absent`, or whatever it is (`any`). */
export type Expected = bigint | 'absent' | 'any';

/** How a compare-and-set came out; `current` is what the cell holds afterwards. */
export interface SwapResult {
  readonly swapped: boolean;
  readonly current: Versioned | undefined;
}

/** Turns values into bytes and back. JSON by default. Both may throw. */
export interface Codec {
  encode(value: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

/**
 * The port: what the library needs of a store. Made of an adapter by the kernel.
 *
 * All streams are cold, take time from `scheduler`, ride out lost connections in silence, error only with what
 * waiting cannot heal, and complete when the backend is closed. Names and payloads are checked at the call.
 *
 * `evict`, `register`, `unregister` and `swap` happen once, however often they have to be repeated. If their session is
 * lost while the answer is awaited, or a repeat is refused, they error with `OutcomeUnknown`.
 */
export interface Backend extends AsyncDisposable {
  readonly name: string;
  readonly characteristics: Characteristics;
  readonly codec: Codec;
  /** The clock of everything that waits: monotonic by default, virtual under test. Dates are those of its `wallNow`, or of `now`. */
  readonly scheduler: ClockLike;
  /** 32 hexadecimal digits, unique; the same again in a simulation of the same seed. */
  newId(): string;
  /** The session's state, the current one first. Subscribing opens the session. */
  readonly session$: Observable<Session>;
  /** What went wrong without ending any stream. Hot. */
  readonly faults$: Observable<CoordinationError>;
  /** Puts a fault on `faults$`. */
  reportFault(fault: CoordinationError): void;

  /**
   * Subscribing stands in line, unsubscribing leaves. Emits the place, and again when it is admitted.
   * Errors with `PlaceLost` when the session ends or the entry is evicted.
   */
  enter(roster: RosterKey, request: EntryRequest): Observable<Place>;
  /** Everybody in the roster, in the order of tokens: a complete snapshot first, then one for each change. */
  entries(roster: RosterKey): Observable<readonly Entry[]>;
  /** Everybody in the roster, once: nothing is watched. Completes. */
  look(roster: RosterKey): Observable<readonly Entry[]>;
  /** Takes an entry out of the roster, whoever owns it. Emits whether it was there. */
  evict(roster: RosterKey, entryId: string): Observable<boolean>;

  /** Makes a roster exist. Emits `false` if it did already. */
  register(roster: RosterKey): Observable<boolean>;
  /** Makes an empty roster exist no longer. */
  unregister(roster: RosterKey): Observable<'removed' | 'absent' | 'occupied'>;
  /** The names of all registered rosters of a kind: a complete snapshot first, then one for each change. */
  registered(kind: RosterKind): Observable<ReadonlySet<string>>;

  /** One versioned value: what it is first, then each change. Intermediate values may be skipped. */
  cell(key: string): Observable<Versioned | undefined>;
  /** Writes (or, with `undefined`, deletes) the value if the cell is as expected. */
  swap(key: string, expected: Expected, value: Uint8Array | undefined): Observable<SwapResult>;

  /**
   * Completes all streams, waits for guarded work that cannot be stopped (to the session's deadline at most), leaves
   * everything and waits for the store to have it (for `closeTimeoutMs` at most). Idempotent.
   *
   * With `drainMs` it drains first: nobody enters any more, who waits in a line leaves it, and what is admitted goes on as
   * its `onDrain` says, in a session that is renewed, until all `work` has ended, for `drainMs` at most. What looks, and
   * what writes outside of lines, goes on until then. Called again it gives the same promise, and without `drainMs` it changes
   * nothing, so that whoever wishes may wait for the end; `{ drainMs: 0 }` ends the drain at once, a smaller `drainMs` earlier,
   * a greater one no later.
   */
  close(options?: CloseOptions): Promise<void>;
}
