import { BehaviorSubject, Observable, of, type Subscriber } from 'rxjs';
import { afterEach, beforeEach, vi } from 'vitest';
import type { Backend, EntryRequest, Place, RosterKey } from '../../src/backends/backend.js';
import type { CoordinationError } from '../../src/backends/errors.js';
import { createBackend } from '../../src/backends/kernel/create-backend.js';
import { memoryCharacteristics } from '../../src/backends/memory/characteristics.js';
import type { BackendOptions } from '../../src/backends/shared/options.js';
import type { Standing, StandRequest, Store, StoreContext, StoreSession } from '../../src/backends/store.js';
import { entryOf, ManualTime, QUICK } from '../support/virtual-time.js';

export type Operation =
  | 'open'
  | 'renew'
  | 'enter'
  | 'place'
  | 'update'
  | 'leave'
  | 'entries'
  | 'look'
  | 'evict'
  | 'register'
  | 'unregister'
  | 'registered'
  | 'cell'
  | 'swap'
  | 'end';

/** One request as it arrived at the store, and the means to answer it. */
export class Call {
  readonly sentMs: number;
  constructor(
    readonly operation: Operation,
    readonly session: ScriptedSession | undefined,
    readonly args: readonly unknown[],
    private readonly subscriber: Subscriber<unknown>,
    readonly time: ManualTime,
  ) {
    this.sentMs = time.now();
  }
  /** Nobody waits for the answer any longer. */
  get isGone(): boolean {
    return this.subscriber.closed;
  }
  tell(value: unknown): void {
    this.subscriber.next(value);
  }
  answer(value: unknown): void {
    this.subscriber.next(value);
    this.subscriber.complete();
  }
  done(): void {
    this.subscriber.complete();
  }
  fail(error: unknown): void {
    this.subscriber.error(error);
  }
  /** Does something to the call `ms` later. */
  later(ms: number, act: (call: Call) => void): void {
    this.time.schedule(() => act(this), ms);
  }
}

export interface ScriptedSession extends StoreSession {
  readonly link: BehaviorSubject<boolean>;
}

/** What a session is like, where it is not as asked for. */
interface SessionTraits {
  readonly ttlMs?: number;
  readonly provedMs?: number;
  readonly linked?: boolean;
  readonly barredMs$?: Observable<number>;
}

/** A store that does what each test says: a double for the kernel, which no real store can be made to treat like this. */
export class ScriptedStore implements Store {
  readonly name = 'scripted';
  readonly address = 'nowhere:1';
  readonly characteristics = memoryCharacteristics;
  /** Everything that arrived, in order, with the time: `20 renew s1`. */
  readonly log: string[] = [];
  readonly calls: Call[] = [];
  readonly sessions: ScriptedSession[] = [];
  context: StoreContext | undefined;
  /** Whether requests to enter wait in a queue of the adapter's own: then they go out when the test says so. */
  isQueueing = false;
  #lastToken = 0n;
  readonly #behaviours = new Map<Operation, (call: Call) => void>([
    ['open', (call) => call.tell(this.session())],
    ['renew', (call) => call.answer(call.sentMs)],
    ['enter', (call) => call.answer(this.standing())],
    ['place', (call) => call.tell((call.args[2] as Standing).ahead)],
    ['update', (call) => call.done()],
    ['leave', (call) => call.done()],
    ['end', (call) => call.done()],
  ]);

  constructor(readonly time: ManualTime) {}

  /** Says what becomes of each call of this operation from now on. */
  on(operation: Operation, behaviour: (call: Call) => void): void {
    this.#behaviours.set(operation, behaviour);
  }
  /** Leaves the operation unanswered from now on. */
  hold(...operations: Operation[]): void {
    for (const operation of operations) this.on(operation, () => undefined);
  }
  /** All calls of an operation so far. */
  all(operation: Operation): Call[] {
    return this.calls.filter((call) => call.operation === operation);
  }
  /** The latest call of an operation. */
  last(operation: Operation): Call {
    const call = this.all(operation).at(-1);
    if (call === undefined) throw new Error(`no ${operation} has arrived`);
    return call;
  }
  /** When each call of an operation was sent. */
  times(operation: Operation): number[] {
    return this.all(operation).map(({ sentMs }) => sentMs);
  }
  /** The ids under which something was asked. */
  ids(operation: 'enter' | 'leave' | 'update' | 'place'): string[] {
    return this.all(operation).map(({ args }) => (args[1] as StandRequest).id);
  }
  standing(ahead = 0): Standing {
    this.#lastToken++;
    return { entry: entryOf(`e${this.#lastToken}`, this.#lastToken), ahead };
  }
  get latest(): ScriptedSession {
    const session = this.sessions.at(-1);
    if (session === undefined) throw new Error('no session is open');
    return session;
  }

  open(context: StoreContext): Observable<StoreSession> {
    this.context = context;
    return this.#call('open', undefined, []) as Observable<StoreSession>;
  }

  session({
    ttlMs = QUICK.ttlMs,
    provedMs = this.time.now(),
    linked = true,
    barredMs$,
  }: SessionTraits = {}): ScriptedSession {
    const link = new BehaviorSubject(linked);
    const id = `s${this.sessions.length + 1}`;
    const call =
      (operation: Operation) =>
      (...args: unknown[]): Observable<never> =>
        this.#call(operation, session, args) as Observable<never>;
    const session: ScriptedSession = {
      id,
      ttlMs,
      provedMs,
      link,
      link$: link,
      ...(barredMs$ && { barredMs$ }),
      renew: call('renew'),
      enter: call('enter'),
      place: call('place'),
      update: call('update'),
      leave: call('leave'),
      entries: call('entries'),
      look: call('look'),
      evict: call('evict'),
      register: call('register'),
      unregister: call('unregister'),
      registered: call('registered'),
      cell: call('cell'),
      swap: call('swap'),
      end: call('end'),
    };
    this.sessions.push(session);
    return session;
  }

  #call(operation: Operation, session: ScriptedSession | undefined, args: readonly unknown[]): Observable<unknown> {
    return new Observable((subscriber) => {
      const call = new Call(operation, session, args, subscriber, this.time);
      this.calls.push(call);
      this.log.push(`${this.time.now()} ${operation}${session === undefined ? '' : ` ${session.id}`}`);
      if (operation === 'open') subscriber.add(() => this.log.push(`${this.time.now()} cut`));
      const isAboutEntry = operation === 'enter' || operation === 'update' || operation === 'leave';
      if (isAboutEntry && !this.isQueueing) (args[1] as StandRequest).sent();
      this.#behaviours.get(operation)?.(call);
    });
  }
}

export interface SetUp {
  readonly time: ManualTime;
  readonly store: ScriptedStore;
  readonly backend: Backend;
  /** What happened, in the order it did. */
  readonly log: string[];
  readonly faults: CoordinationError[];
  /** Writes each state of the session to the log, which opens it. */
  watchSession(): void;
  /** Enters, and writes what becomes of it to the log. */
  enter(request?: Partial<EntryRequest>, name?: string): { readonly places: Place[]; leave(): void };
}

export const roster: RosterKey = { kind: 'lock', name: 'l' };

/** A backend over a scripted store, in time that goes by step by step. */
export function setUp(options: BackendOptions = {}, store$?: Observable<Store>): SetUp {
  const time = new ManualTime();
  const store = new ScriptedStore(time);
  const settings = { ...QUICK, scheduler: time, ...options };
  const backend = createBackend('scripted', memoryCharacteristics, store$ ?? of(store), settings);
  const { log } = store;
  const faults: CoordinationError[] = [];
  backend.faults$.subscribe((fault) => faults.push(fault));
  return {
    time,
    store,
    backend,
    log,
    faults,
    watchSession: () => {
      backend.session$.subscribe({
        next: (session) => log.push(`${time.now()} ${session.state}`),
        error: (error) => log.push(`${time.now()} session$ ${error.name}`),
        complete: () => log.push(`${time.now()} session$ complete`),
      });
    },
    enter: (request = {}, name = 'place') => {
      const places: Place[] = [];
      const wish: EntryRequest = { mode: 'exclusive', permits: 1, payload: new Uint8Array([1]), ...request };
      const subscription = backend.enter(roster, wish).subscribe({
        next: (place) => {
          places.push(place);
          log.push(`${time.now()} ${name} ${place.admitted ? 'admitted' : `behind ${place.ahead}`}`);
          if (places.length === 1)
            place.signal.addEventListener('abort', () => log.push(`${time.now()} ${name} aborted`));
        },
        error: (error) => log.push(`${time.now()} ${name} ${error.name}`),
        complete: () => log.push(`${time.now()} ${name} complete`),
      });
      return { places, leave: () => subscription.unsubscribe() };
    },
  };
}

/** Holds chance at `value` in each test: jitter is none of it at 0. */
export function chance(value: number): void {
  beforeEach(() => {
    vi.spyOn(Math, 'random').mockReturnValue(value);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
}
