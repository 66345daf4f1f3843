import { BehaviorSubject, concat, distinctUntilChanged, map, NEVER, Observable, Subject, take, throwError } from 'rxjs';
import { Unavailable } from '../backends/errors.js';
import type { StandRequest, Store, StoreContext, StoreSession } from '../backends/store.js';
import type { Losable } from './faults.js';
import type { SimulatedProcess, World } from './simulated-process.js';

/** One direction of a connection: first in, first out. */
interface Lane {
  lastMs: number;
  underWay: number;
}

const newLane = (): Lane => ({ lastMs: Number.NEGATIVE_INFINITY, underWay: 0 });

/** What a wire asks of the network it belongs to. */
export interface Network {
  /** How long one message takes, this time. */
  latencyMs(): number;
  note(process: string, what: string): void;
}

/**
 * The connection of one process with the store: each message takes its time, and may be lost.
 *
 * A partition swallows in silence: the process finds out by what is not answered. What was under way when the
 * connection breaks is lost with it; then the process connects again, and looks again at everything it follows.
 */
export class Wire {
  /** The session that the store opened last for this process. */
  sessionId: string | undefined;
  extraMs = 0;
  readonly #linked = new BehaviorSubject(true);
  readonly #broken = new Subject<void>();
  readonly #losing: string[] = [];
  #lanes = { up: newLane(), down: newLane() };
  #isCut = false;
  #isStoreUp = true;

  constructor(
    private readonly process: SimulatedProcess,
    private readonly world: World,
    private readonly network: Network,
  ) {}

  /** The store as this process reaches it. */
  store(inner: Store): Store {
    return {
      ...inner,
      open: (context) => {
        const sentMs = context.now();
        const opened = this.#follow('open a session', () => inner.open(context)).pipe(take(1));
        // An open session outlives its connection.
        return concat(opened, NEVER).pipe(map((session) => this.#session(session, context, sentMs)));
      },
    };
  }

  /** Nothing arrives any more, in either direction, and nobody is told. */
  cut(): void {
    this.#isCut = true;
  }

  /** What was cut is connected anew. */
  mend(): void {
    if (!this.#isCut) return;
    this.#isCut = false;
    this.#break();
    if (this.#isStoreUp) this.#tellLinked(true);
  }

  /** The store ends, which resets its connections; or is there again. */
  storeIs(up: boolean): void {
    this.#isStoreUp = up;
    if (this.#isCut) return;
    if (up) this.#tellLinked(true);
    else this.#break();
  }

  loseReply(of: Losable): void {
    this.#losing.push(of);
  }

  get #reaches(): boolean {
    return this.#isStoreUp && !this.#isCut;
  }

  #session(inner: StoreSession, context: StoreContext, openedMs: number): StoreSession {
    this.sessionId = inner.id;
    const session: StoreSession = {
      id: inner.id,
      ttlMs: inner.ttlMs,
      provedMs: openedMs,
      link$: this.#link(inner),
      ...(inner.barredMs$ && { barredMs$: this.#told(inner.barredMs$) }),
      renew: () => {
        const sentMs = context.now();
        return this.#request('renew', () => inner.renew()).pipe(map(() => sentMs));
      },
      enter: (roster, request) => this.#request('enter', () => inner.enter(roster, unheard(request)), request.sent),
      place: (...args) => this.#follow('watch a place', () => inner.place(...args)),
      update: (roster, request, payload) =>
        this.#request('update', () => inner.update(roster, unheard(request), payload), request.sent),
      leave: (roster, request, inDoubt) =>
        this.#request('leave', () => inner.leave(roster, unheard(request), inDoubt), request.sent),
      entries: (...args) => this.#follow('watch entries', () => inner.entries(...args)),
      look: (...args) => this.#request('look', () => inner.look(...args)),
      evict: (...args) => this.#request('evict', () => inner.evict(...args)),
      register: (...args) => this.#request('create', () => inner.register(...args)),
      unregister: (...args) => this.#request('delete', () => inner.unregister(...args)),
      registered: (...args) => this.#follow('watch registrations', () => inner.registered(...args)),
      cell: (...args) => this.#follow('watch a cell', () => inner.cell(...args)),
      swap: (...args) => this.#request('write a cell', () => inner.swap(...args)),
      end: (isLost) => this.#request('end', () => inner.end(isLost)),
    };
    return session;
  }

  #link(inner: StoreSession): Observable<boolean> {
    return new Observable<boolean>((subscriber) => {
      subscriber.add(this.#linked.pipe(distinctUntilChanged()).subscribe((linked) => subscriber.next(linked)));
      subscriber.add(inner.link$.subscribe({ error: (error) => this.#down(() => subscriber.error(error)) }));
    });
  }

  /** What the store says of its own accord, on its way here. */
  #told<T>(source: Observable<T>): Observable<T> {
    return new Observable<T>((subscriber) => source.subscribe((value) => this.#down(() => subscriber.next(value))));
  }

  /** One request. Once under way it is carried out, whether or not its sender still waits. */
  #request<T>(what: string, run: () => Observable<T>, sent: () => void = () => undefined): Observable<T> {
    return this.#connected(
      what,
      () =>
        new Observable<T>((subscriber) => {
          subscriber.add(this.#broken.subscribe(() => subscriber.error(unavailable(what))));
          sent();
          this.#up(() => {
            const isLost = this.#takeLoss(what);
            this.network.note(this.process.name, isLost ? `${what}, reply lost` : what);
            const values: T[] = [];
            const reply = (act: () => void): void => {
              if (!isLost) this.#down(act);
            };
            run().subscribe({
              next: (value) => values.push(value),
              error: (error) => reply(() => subscriber.error(error)),
              complete: () =>
                reply(() => {
                  for (const value of values) subscriber.next(value);
                  subscriber.complete();
                }),
            });
          });
        }),
    );
  }

  /** Something that the store tells of until one unsubscribes. */
  #follow<T>(what: string, run: () => Observable<T>): Observable<T> {
    return this.#connected(
      what,
      () =>
        new Observable<T>((subscriber) => {
          subscriber.add(this.#broken.subscribe(() => subscriber.error(unavailable(what))));
          this.#up(() => {
            if (subscriber.closed) return;
            this.network.note(this.process.name, what);
            subscriber.add(
              run().subscribe({
                next: (value) => this.#down(() => subscriber.next(value)),
                error: (error) => this.#down(() => subscriber.error(error)),
                complete: () => this.#down(() => subscriber.complete()),
              }),
            );
          });
        }),
    );
  }

  #connected<T>(what: string, exchange: () => Observable<T>): Observable<T> {
    return new Observable<T>((subscriber) =>
      (this.#linked.value ? exchange() : throwError(() => unavailable(what))).subscribe(subscriber),
    );
  }

  #takeLoss(what: string): boolean {
    const at = this.#losing.indexOf(what);
    if (at >= 0) this.#losing.splice(at, 1);
    return at >= 0;
  }

  #up(act: () => void): void {
    this.process.deliver(() => this.#carry(this.#lanes.up, act));
  }

  #down(act: () => void): void {
    this.#carry(this.#lanes.down, () => this.process.deliver(act));
  }

  #carry(lane: Lane, act: () => void): void {
    if (!this.#reaches) return;
    const nowMs = this.world.scheduler.now();
    lane.lastMs = Math.max(nowMs + this.network.latencyMs() + this.extraMs, lane.lastMs);
    if (lane.lastMs <= nowMs && lane.underWay === 0) {
      act();
      return;
    }
    lane.underWay++;
    this.world.scheduler.schedule(() => {
      lane.underWay--;
      const isOfThisConnection = lane === this.#lanes.up || lane === this.#lanes.down;
      if (isOfThisConnection && this.#reaches) act();
    }, lane.lastMs - nowMs);
  }

  #break(): void {
    this.#lanes = { up: newLane(), down: newLane() };
    this.process.deliver(() => {
      this.#linked.next(false);
      this.#broken.next();
    });
  }

  #tellLinked(up: boolean): void {
    this.process.deliver(() => this.#linked.next(up));
  }
}

/** It has gone out here already. */
function unheard(request: StandRequest): StandRequest {
  return { ...request, sent: () => undefined };
}

function unavailable(what: string): Unavailable {
  return new Unavailable('memory', what, new Error('the connection has broken'));
}
