import { BehaviorSubject, Observable, type Subscriber, Subscription, timer } from 'rxjs';
import { type CoordinationError, PlaceLost, SessionLost, type StoreLocation, Unavailable } from '../errors.js';
import type { StandRequest, StoreContext } from '../store.js';

/** Entries that one script looks at. */
const MOST_LOOKED_AT = 500;

/** The end of a quarantine is told again and again, each time by a server that may be slower or faster to answer. */
const TOLD_LATE_MS = 1_000;

/** An entry of this session, from when it is asked for until it leaves. */
export interface Stay {
  readonly entryId: string;
  readonly roster: string;
  readonly request: StandRequest;
  /** As last told by the server; `undefined` until it stands. */
  ahead: number | undefined;
  /** How many renewals had been asked for when it was first known to stand; `undefined` until it is. */
  stoodAt: number | undefined;
  /** Something may have changed since `ahead` was told. */
  isOutdated: boolean;
  /** Another list after each change: whoever goes through one goes through those who were there. */
  followers: readonly Follower[];
}

/** One who is told where an entry stands, each time that it is another place. */
class Follower {
  #told: number | undefined;

  constructor(private readonly observer: Subscriber<number>) {}

  tell(ahead: number): void {
    if (ahead === this.#told) return;
    this.#told = ahead;
    this.observer.next(ahead);
  }

  fail(cause: CoordinationError): void {
    this.observer.error(cause);
  }
}

/** What the server says whenever it is asked about places, in ms. */
export interface Outlook {
  /** Nobody is admitted for so long. */
  readonly quarantineMs: number;
  /** It should be asked again so soon for the sake of the first lease of another; not if others have promised to ask. */
  readonly earliestMs: number | undefined;
  /** Others rely on it that it is asked then. */
  readonly isPromised: boolean;
  /** There are dead left to be removed. */
  readonly more: boolean;
}

/** Asks for the places of some entries: how many stand before each, or -1 if it is gone. */
export type Look = (stays: readonly Stay[]) => Observable<{
  outlook: Outlook;
  places: readonly number[];
  /** How what is gone was lost; by default, `evicted`. */
  how?: Gone;
}>;

/** Taken out by somebody; or lost by the store, with what else it had acknowledged, while the session is there. */
export type Gone = 'evicted' | 'forgotten';

/**
 * Where the entries of one session stand. Nothing is asked for before there is a reason: the server has named an entry
 * in the session's channel, the connection is new, a quarantine has ended, or the lease of another ends before the
 * next renewal would notice it.
 */
export class Places {
  readonly #stays = new Map<string, Stay>();
  readonly #due = new Set<Stay>();
  /** Those that stand and are not admitted. */
  readonly #waiting = new Set<Stay>();
  readonly #timers = new Subscription();
  readonly #barredMs = new BehaviorSubject(0);
  #quarantine: Subscription | undefined;
  #quarantineEndsMs = 0;
  /** Somebody has been kept out by this quarantine, and `faults$` has said so. */
  #isBarringTold = false;
  #expiry: Subscription | undefined;
  #expiresMs: number | undefined;
  /** Others rely on it that this session asks by then, also if it does not wait any more. */
  #hasPromised = false;
  #watching = 0;
  #renewals = 0;
  #isFlushing = false;

  constructor(
    private readonly look: Look,
    private readonly context: StoreContext,
    private readonly store: StoreLocation,
    /** When the session is renewed next. */
    private renewsMs: number,
    /** For what concerns the whole session. */
    private readonly failed: (cause: CoordinationError) => void,
  ) {}

  /** For how many ms nobody is admitted: what the server said last, and 0 when that is over. */
  get barredMs$(): Observable<number> {
    return this.#barredMs;
  }

  dispose(): void {
    this.#timers.unsubscribe();
    this.#quarantine?.unsubscribe();
    this.#expiry?.unsubscribe();
  }

  get all(): readonly Stay[] {
    return [...this.#stays.values()];
  }

  get(entryId: string): Stay | undefined {
    return this.#stays.get(entryId);
  }

  /** The entry is about to be asked for: from now on, what is said about it is heard. */
  expect(entryId: string, roster: string, request: StandRequest): Stay {
    const known = this.#stays.get(entryId);
    if (known !== undefined) return known;
    const unknown = { ahead: undefined, stoodAt: undefined, isOutdated: false };
    const stay: Stay = { entryId, roster, request, ...unknown, followers: [] };
    this.#stays.set(entryId, stay);
    return stay;
  }

  /** The entry stands, with so many before it. Returns how many that is to its owner. */
  entered(stay: Stay, ahead: number, outlook: Outlook): number {
    const now = this.#stands(stay, ahead, outlook);
    this.#heed(outlook);
    return now;
  }

  #stands(stay: Stay, ahead: number, outlook: Outlook): number {
    const { permits } = stay.request;
    const isBarred = outlook.quarantineMs > 0 && isExclusionOf(stay);
    if (isBarred && !this.#isBarringTold) {
      this.#isBarringTold = true;
      this.context.fault(new Unavailable(this.store, 'admit anybody', quarantined(outlook.quarantineMs)));
    }
    // Nobody ever enters before it, so whoever is admitted stays so.
    const now = Math.min(isBarred ? permits : ahead, permits, stay.ahead ?? Number.POSITIVE_INFINITY);
    this.#set(stay, now);
    return now;
  }

  forget(entryId: string): void {
    const stay = this.#stays.get(entryId);
    this.#stays.delete(entryId);
    if (stay !== undefined) this.#waiting.delete(stay);
  }

  /** The entry is gone without its owner's doing. */
  gone(stay: Stay, how: Gone = 'evicted'): void {
    if (!this.#stays.delete(stay.entryId)) return;
    this.#waiting.delete(stay);
    fail(stay, lossOf(stay.roster, how));
  }

  /**
   * The server has named this entry. Whoever is admitted already may take its word for how many are left before it. An
   * admission is asked for, so that nobody is admitted whose session or entry is gone, unless it `isSure`: the server has
   * looked at that itself, when it said so.
   */
  heard(entryId: string, ahead: number | undefined, isSure: boolean): void {
    const stay = this.#stays.get(entryId);
    if (stay === undefined) return;
    if (ahead !== undefined && stay.ahead !== undefined) {
      const isAdmitted = stay.ahead < stay.request.permits;
      // What was said before a connection broke may be old.
      if (isAdmitted || (isSure && !stay.isOutdated && ahead < stay.request.permits)) {
        this.#set(stay, Math.min(ahead, stay.ahead));
        return;
      }
    }
    stay.isOutdated = true;
    if (stay.followers.length > 0) this.#lookAt([stay]);
  }

  /** The connection is gone, and whatever is said meanwhile is lost. */
  cut(cause: CoordinationError): void {
    for (const stay of this.#stays.values()) stay.isOutdated = true;
    this.#expiry?.unsubscribe();
    this.#interrupt(cause);
  }

  /** How many stand before the entry: as it was told, if nothing can have changed since, and after each change. */
  of(entryId: string): Observable<number> {
    return new Observable((observer) => {
      const stay = this.#stays.get(entryId);
      if (stay === undefined) {
        observer.error(new PlaceLost(entryId, 'evicted'));
        return;
      }
      const follower = new Follower(observer);
      stay.followers = [...stay.followers, follower];
      observer.add(() => {
        stay.followers = stay.followers.filter((each) => each !== follower);
      });
      if (stay.ahead === undefined || stay.isOutdated) this.#lookAt([stay]);
      else follower.tell(stay.ahead);
      this.#heedExpiry();
    });
  }

  /** While somebody follows the entries of a roster, the end of others' leases matters too. */
  watching(change: 1 | -1): void {
    this.#watching += change;
    this.#heedExpiry();
  }

  /** Whether this session takes its turn in asking for the sake of others' leases, as scripts are told: '1' or ''. */
  get turn(): string {
    return this.#takesTurns ? '1' : '';
  }

  get #takesTurns(): boolean {
    return this.#hasPromised || this.#watching > 0 || this.#waiting.size > 0;
  }

  /** A renewal is asked for. Returns its number. */
  renewing(): number {
    this.#renewals += 1;
    return this.#renewals;
  }

  /**
   * This renewal has found these entries in data that may have lost some. What was known to stand when it was asked for is
   * among them, or lost. What was not says nothing: answers may come in another order than questions.
   */
  reconcile(renewal: number, there: ReadonlySet<string>): void {
    for (const stay of this.all)
      if (stay.stoodAt !== undefined && stay.stoodAt < renewal && !there.has(stay.entryId))
        this.gone(stay, 'forgotten');
  }

  /** The session was renewed at `sentMs` and the server has said this. */
  renewed(sentMs: number, outlook: Outlook): void {
    this.renewsMs = sentMs + this.context.timing.renewEveryMs;
    this.#heed(outlook);
  }

  /** What was known already, too: whoever has subscribed since then has not been told. */
  #set(stay: Stay, ahead: number): void {
    stay.stoodAt ??= this.#renewals;
    stay.ahead = ahead;
    // Who has left meanwhile may be told still.
    if (ahead < stay.request.permits || this.#stays.get(stay.entryId) !== stay) this.#waiting.delete(stay);
    else this.#waiting.add(stay);
    for (const follower of stay.followers) follower.tell(ahead);
  }

  #heed(outlook: Outlook): void {
    this.heedQuarantine(outlook.quarantineMs);
    const soonMs = outlook.more ? 0 : outlook.earliestMs;
    this.#expiresMs = soonMs === undefined ? undefined : this.context.now() + soonMs;
    this.#hasPromised = outlook.isPromised;
    this.#heedExpiry();
  }

  #lookAt(stays: Iterable<Stay>): void {
    for (const stay of stays) this.#due.add(stay);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      const due = [...this.#due].filter((stay) => this.#stays.get(stay.entryId) === stay);
      this.#due.clear();
      for (let at = 0; at < due.length; at += MOST_LOOKED_AT) this.#ask(due.slice(at, at + MOST_LOOKED_AT));
    });
  }

  #ask(stays: readonly Stay[]): void {
    if (this.#timers.closed) return;
    // What is said from now on may be newer than the answer.
    for (const stay of stays) stay.isOutdated = false;
    this.#timers.add(
      this.look(stays).subscribe({
        next: ({ outlook, places, how }) => {
          for (const [at, stay] of stays.entries()) {
            const ahead = places[at];
            if (ahead === undefined || this.#stays.get(stay.entryId) !== stay || stay.ahead === undefined) continue;
            if (ahead < 0) this.gone(stay, how);
            else this.#stands(stay, ahead, outlook);
          }
          this.#heed(outlook);
        },
        error: (cause) => {
          for (const stay of stays) stay.isOutdated = true;
          if (cause instanceof SessionLost) this.failed(cause);
          else if (!(cause instanceof Unavailable)) this.#refused(stays, cause);
          else if (stays.length > 0) this.#interrupt(cause);
        },
      }),
    );
  }

  /** What waiting does not heal is told to those concerned, and ends nobody else's stay. */
  #refused(stays: readonly Stay[], cause: CoordinationError): void {
    if (stays.length === 0) this.context.fault(cause);
    for (const stay of stays) fail(stay, cause);
  }

  /** Nothing more is told of any place until it is asked for again. */
  #interrupt(cause: CoordinationError): void {
    for (const stay of this.all) fail(stay, cause);
  }

  /** The server admits nobody for so long. */
  heedQuarantine(ms: number): void {
    if (ms <= 0) return;
    const endsMs = this.context.now() + ms;
    if (endsMs <= this.#quarantineEndsMs) return;
    const isLonger = endsMs > this.#quarantineEndsMs + TOLD_LATE_MS;
    this.#quarantineEndsMs = endsMs;
    if (isLonger) this.#barredMs.next(ms);
    this.#quarantine?.unsubscribe();
    this.#quarantine = timer(ms + 1, this.context.scheduler).subscribe(() => {
      this.#quarantineEndsMs = 0;
      this.#isBarringTold = false;
      this.#barredMs.next(0);
      if (this.#waiting.size > 0) this.#lookAt(this.#waiting);
    });
  }

  #heedExpiry(): void {
    this.#expiry?.unsubscribe();
    if (this.#expiresMs === undefined || this.#expiresMs >= this.renewsMs || this.#timers.closed) return;
    if (!this.#takesTurns) return;
    const ms = Math.max(1, this.#expiresMs - this.context.now() + 1);
    this.#expiry = timer(ms, this.context.scheduler).subscribe(() => {
      this.#expiresMs = undefined;
      this.#hasPromised = false;
      this.#ask([]);
    });
  }
}

function fail(stay: Stay, cause: CoordinationError): void {
  for (const follower of stay.followers) follower.fail(cause);
}

/** Whether somebody could be kept out by this entry or keep it out; nobody is, in a group of members. */
function isExclusionOf({ roster, request: { mode, permits } }: Stay): boolean {
  return permits !== Number.POSITIVE_INFINITY && !(mode === 'shared' && roster.startsWith('group:'));
}

function quarantined(ms: number): Error {
  return new Error(`the server was started or lost its data just now; it admits again in ${ms} ms`);
}

/** What is lost along with data is not lost by anybody's wish: whoever lost it may take part again. */
export function lossOf(roster: string, how: Gone): PlaceLost {
  if (how === 'evicted') return new PlaceLost(roster, how);
  return new PlaceLost(roster, 'session lost', new Error('the store has lost what it had acknowledged'));
}
