import {
  BehaviorSubject,
  defer,
  distinctUntilChanged,
  finalize,
  map,
  merge,
  type Observable,
  of,
  type SchedulerLike,
  Subject,
  Subscription,
  startWith,
  switchMap,
  throwError,
  timer,
} from 'rxjs';
import type { Entry, Expected, RosterKey, RosterKind, SwapResult, Versioned } from '../backend.js';
import { GroupNotFound, PlaceLost, SessionLost, Unavailable } from '../errors.js';
import { monotonicScheduler } from '../kernel/clock.js';
import { conflictsAhead } from '../shared/admission.js';
import type { Standing, StandRequest, Store, StoreContext, StoreSession } from '../store.js';
import { memoryCharacteristics } from './characteristics.js';

/** Where tokens come from. Never reset, so that they grow even when a store of the same name is made anew. */
let lastToken = 0n;
const nextToken = (): bigint => ++lastToken;

interface MemoryEntry extends Entry {
  readonly sessionId: string;
  /** The number that the latest update of its session had. */
  readonly updates: number;
}

interface MemorySession {
  readonly id: string;
  readonly ttlMs: number;
  readonly link: BehaviorSubject<boolean>;
  /** Entries that were given up while their `enter` might still be on its way. */
  readonly refused: Set<string>;
  /** Ids of its writes that have changed something: asked again, they are done. Kept, since nobody says which are answered. */
  readonly written: Set<string>;
  expiry: Subscription;
  isOver: boolean;
}

/**
 * A store in this process: one simulated server, to which any number of `memory` backends connect.
 * It keeps sessions by the same rules as a real one, so that everything above runs just as it does there.
 */
export class MemoryStore {
  readonly #sessions = new Map<string, MemorySession>();
  readonly #rosters = new Map<string, Map<string, MemoryEntry>>();
  readonly #registered = new Set<string>();
  readonly #cells = new Map<string, Versioned>();
  /** Who follows what: a topic each, since many thousand may follow one thing each. */
  readonly #topics = new Map<string, Subject<void>>();
  #longestTtlMs = 0;
  /** After a loss of data: until then, whoever held something may still rely on it, so nobody is admitted. */
  #admitsFromMs = Number.NEGATIVE_INFINITY;

  /**
   * `scheduler`: where the store's time comes from; the same as its backends' under test. `tokens`: where its tokens
   * come from; by default one line for the whole process.
   */
  constructor(
    private readonly scheduler: SchedulerLike = monotonicScheduler,
    private readonly tokens: () => bigint = nextToken,
  ) {}

  /** The server ends: no session expires while it is away. Its clients' connections are theirs to cut. */
  stop(): void {
    for (const session of this.#sessions.values()) session.expiry.unsubscribe();
  }

  /**
   * The server is there again. With its data, each session has its whole lifetime before it. Without, everything but the
   * tokens is forgotten, and nobody is admitted until those who held something have given it up.
   */
  start({ keepData }: { readonly keepData: boolean }): void {
    for (const session of this.#sessions.values()) {
      session.isOver = !keepData;
      if (keepData) this.#extend(session);
    }
    if (keepData) return;
    for (const kept of [this.#sessions, this.#rosters, this.#registered, this.#cells]) kept.clear();
    this.#admitsFromMs = this.scheduler.now() + this.#longestTtlMs;
    this.#tellWhenItAdmits();
  }

  /** A timer may fire a little early: then it is set again, or whoever waits would wait for ever. */
  #tellWhenItAdmits(): void {
    timer(Math.max(1, this.#admitsFromMs - this.scheduler.now()), this.scheduler).subscribe(() => {
      if (this.scheduler.now() < this.#admitsFromMs) this.#tellWhenItAdmits();
      else for (const key of [...this.#rosters.keys()]) this.#tell(key);
    });
  }

  /** Ends a session as an administrator would: its owner is told, then what stood in it is gone. */
  expire(sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return;
    session.link.error(new SessionLost(sessionId, 'the store has expired it', true));
    this.#drop(session);
  }

  /** Cuts a session's owner off from the store: no request arrives, and the session expires unless `heal` comes first. */
  partition(sessionId: string): void {
    this.#sessions.get(sessionId)?.link.next(false);
  }

  /** Lets requests through again. */
  heal(sessionId: string): void {
    this.#sessions.get(sessionId)?.link.next(true);
  }

  /** The adapter that the kernel talks to. */
  adapter(namespace = ''): Store {
    return {
      name: 'memory',
      address: 'this process',
      characteristics: memoryCharacteristics,
      open: (context) => defer(() => this.#open(context, namespace)),
    };
  }

  #open(context: StoreContext, namespace: string): Observable<StoreSession> {
    const session: MemorySession = {
      id: context.newId(),
      ttlMs: context.timing.ttlMs,
      link: new BehaviorSubject(true),
      expiry: Subscription.EMPTY,
      refused: new Set(),
      written: new Set(),
      isOver: false,
    };
    this.#extend(session);
    this.#longestTtlMs = Math.max(this.#longestTtlMs, session.ttlMs);
    this.#sessions.set(session.id, session);
    return new BehaviorSubject(this.#sessionFor(session, context, namespace));
  }

  #sessionFor(session: MemorySession, context: StoreContext, namespace: string): StoreSession {
    const keyOf = (roster: RosterKey): string => `${namespace}\0${roster.kind}\0${roster.name}`;
    const registryOf = (kind: RosterKind): string => `${namespace}\0${kind}\0`;
    const cellOf = (key: string): string => `${namespace}\0cell\0${key}`;
    let updates = 0;
    /** What reaches the server: nothing while cut off, and nothing for a session that is over. */
    const call = <T>(operation: string, act: () => T): Observable<T> =>
      defer(() => {
        if (!session.link.value) return throwError(() => new Unavailable('memory', operation, 'partitioned'));
        if (session.isOver) return throwError(() => new SessionLost(session.id, 'the store has expired it', true));
        return of(act());
      });
    /** What has changed something is not done again, whatever has become of it since: `done` is what is told then. */
    const write = <T>(operation: string, writeId: string, act: () => T, done: T, isDone = is(done)): Observable<T> =>
      call(operation, () => {
        if (session.written.has(writeId)) return done;
        const outcome = act();
        if (isDone(outcome)) session.written.add(writeId);
        return outcome;
      });
    /** A state of the server: what it is, and again whenever something named `key` changes, until cut off. */
    const follow = <T>(operation: string, key: string, read: () => T): Observable<T> =>
      session.link.pipe(
        distinctUntilChanged(),
        switchMap((linked) =>
          linked
            ? // Changes first: whoever is told how it is may change it at once.
              merge(this.#changesOf(key), of(undefined)).pipe(switchMap(() => call(operation, read)))
            : throwError(() => new Unavailable('memory', operation, 'partitioned')),
        ),
      );
    return {
      id: session.id,
      ttlMs: session.ttlMs,
      provedMs: context.now(),
      link$: session.link,
      barredMs$: defer(() => {
        const ms = this.#admitsFromMs - this.scheduler.now();
        return ms > 0
          ? timer(ms, this.scheduler).pipe(
              map(() => 0),
              startWith(ms),
            )
          : of(0);
      }),
      renew: () =>
        call('renew', () => {
          this.#extend(session);
          return context.now();
        }),
      enter: (roster, request) =>
        call('enter', () => {
          request.sent();
          return this.#enter(session, keyOf(roster), roster.name, request);
        }),
      place: (roster, request, standing) =>
        follow('watch a place', keyOf(roster), () =>
          this.#aheadOf(keyOf(roster), standing.entry.id, request.permits),
        ).pipe(distinctUntilChanged()),
      update: (roster, request, payload) => {
        const number = ++updates;
        return call('update', () => {
          request.sent();
          this.#update(keyOf(roster), request.id, payload, number);
        });
      },
      leave: (roster, request, inDoubt) =>
        call('leave', () => {
          request.sent();
          if (inDoubt) session.refused.add(request.id);
          return this.#remove(keyOf(roster), request.id);
        }),
      entries: (roster) => follow('watch entries', keyOf(roster), () => this.#entriesOf(keyOf(roster))),
      look: (roster) => call('look', () => this.#entriesOf(keyOf(roster))),
      evict: (roster, entryId, writeId) => write('evict', writeId, () => this.#remove(keyOf(roster), entryId), true),
      register: (roster, writeId) =>
        write('create', writeId, () => this.#register(keyOf(roster), registryOf(roster.kind)), true),
      unregister: (roster, writeId) =>
        write('delete', writeId, () => this.#unregister(keyOf(roster), registryOf(roster.kind)), 'removed'),
      registered: (kind) => follow('watch registrations', registryOf(kind), () => this.#registeredOf(registryOf(kind))),
      cell: (key) => follow('watch a cell', cellOf(key), () => this.#cells.get(cellOf(key))),
      swap: (key, expected, value, writeId) =>
        defer(() =>
          write<SwapResult>(
            'write a cell',
            writeId,
            () => this.#swap(cellOf(key), expected, value),
            { swapped: true, current: this.#cells.get(cellOf(key)) },
            ({ swapped }) => swapped,
          ),
        ),
      end: () => call('end', () => this.#drop(session)),
    };
  }

  #changesOf(key: string): Observable<void> {
    return defer(() => {
      const topic = this.#topics.get(key) ?? new Subject<void>();
      this.#topics.set(key, topic);
      return topic.pipe(
        finalize(() => {
          if (!topic.observed) this.#topics.delete(key);
        }),
      );
    });
  }

  #tell(key: string): void {
    this.#topics.get(key)?.next();
  }

  /** From now on the session has its whole lifetime before it. */
  #extend(session: MemorySession): void {
    session.expiry.unsubscribe();
    session.expiry = timer(session.ttlMs, this.scheduler).subscribe(() => this.#drop(session));
  }

  #drop(session: MemorySession): void {
    if (session.isOver) return;
    session.isOver = true;
    session.expiry.unsubscribe();
    this.#sessions.delete(session.id);
    const touched = [...this.#rosters].filter(([key, entries]) => {
      const gone = [...entries.values()].filter((entry) => entry.sessionId === session.id);
      for (const entry of gone) entries.delete(entry.id);
      if (entries.size === 0) this.#rosters.delete(key);
      return gone.length > 0;
    });
    for (const [key] of touched) this.#tell(key);
  }

  #enter(session: MemorySession, key: string, name: string, request: StandRequest): Standing {
    if (request.registered && !this.#registered.has(key)) throw new GroupNotFound(name);
    if (session.refused.has(request.id)) throw new PlaceLost(name, 'evicted');
    const entries = this.#rosters.get(key) ?? new Map<string, MemoryEntry>();
    this.#rosters.set(key, entries);
    let entry = entries.get(request.id);
    const isNew = entry === undefined;
    if (entry === undefined) {
      const { id, mode, permits, payload } = request;
      entry = { id, mode, permits, payload, token: this.tokens(), sessionId: session.id, updates: 0 };
      entries.set(id, entry);
    }
    const ahead = this.#conflictsAhead(entries, entry, request.permits);
    const barred = ahead >= request.permits && conflictsAhead(entries.values(), entry, request.permits) < ahead;
    if (isNew) this.#tell(key);
    return { entry, ahead, barred };
  }

  #aheadOf(key: string, entryId: string, permits: number): number {
    const entries = this.#rosters.get(key);
    const entry = entries?.get(entryId);
    if (entries === undefined || entry === undefined) throw new PlaceLost(entryId, 'evicted');
    return this.#conflictsAhead(entries, entry, permits);
  }

  #conflictsAhead(entries: ReadonlyMap<string, MemoryEntry>, entry: MemoryEntry, permits: number): number {
    if (Number.isFinite(permits) && this.scheduler.now() < this.#admitsFromMs) return permits;
    return conflictsAhead(entries.values(), entry, permits);
  }

  /** In the order in which they were asked for: one that has been overtaken on its way changes nothing any more. */
  #update(key: string, entryId: string, payload: Uint8Array, updates: number): void {
    const entries = this.#rosters.get(key);
    const entry = entries?.get(entryId);
    if (entries === undefined || entry === undefined) throw new PlaceLost(entryId, 'evicted');
    if (updates < entry.updates) return;
    entries.set(entryId, { ...entry, payload, updates });
    this.#tell(key);
  }

  #remove(key: string, entryId: string): boolean {
    const entries = this.#rosters.get(key);
    if (entries?.delete(entryId) !== true) return false;
    if (entries.size === 0) this.#rosters.delete(key);
    this.#tell(key);
    return true;
  }

  #entriesOf(key: string): readonly Entry[] {
    // A Map keeps the order of insertion, which is the order of tokens.
    return [...(this.#rosters.get(key)?.values() ?? [])].map(({ id, token, mode, permits, payload }) => ({
      id,
      token,
      mode,
      permits,
      payload,
    }));
  }

  #register(key: string, registry: string): boolean {
    if (this.#registered.has(key)) return false;
    this.#registered.add(key);
    this.#tell(registry);
    return true;
  }

  #unregister(key: string, registry: string): 'removed' | 'absent' | 'occupied' {
    if (!this.#registered.has(key)) return 'absent';
    if (this.#rosters.has(key)) return 'occupied';
    this.#registered.delete(key);
    this.#tell(registry);
    return 'removed';
  }

  #registeredOf(prefix: string): ReadonlySet<string> {
    return new Set(
      [...this.#registered].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
    );
  }

  #swap(key: string, expected: Expected, value: Uint8Array | undefined): SwapResult {
    const current = this.#cells.get(key);
    const fits = expected === 'any' || (expected === 'absent' ? current === undefined : current?.version === expected);
    if (!fits) return { swapped: false, current };
    const next = value === undefined ? undefined : { value, version: this.tokens() };
    if (next === undefined) this.#cells.delete(key);
    else this.#cells.set(key, next);
    this.#tell(key);
    return { swapped: true, current: next };
  }
}

function is<T>(done: T): (outcome: T) => boolean {
  return (outcome) => outcome === done;
}
