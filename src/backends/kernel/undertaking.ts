import { type Observable, type Observer, type Subscription, throwError, timer, type Unsubscribable } from 'rxjs';
import { SessionLost, Unavailable } from '../errors.js';
import { backoffMs, type KernelContext } from './context.js';
import type { Patience, Wait } from './patience.js';
import type { Stander } from './row.js';
import { Turn, type Window } from './window.js';

/** Told of what becomes of a session. */
export interface LifeListener {
  /** It is over: with a cause where it was lost, without where the backend was closed. Told once. */
  over(cause: SessionLost | undefined): void;
  /** The link has come up, or has broken. */
  linked?(isLinked: boolean): void;
}

/** The life of one session, as long as which something is gone on with. */
export interface Life {
  readonly context: KernelContext;
  /** For answers. */
  readonly patience: Patience;
  readonly isLinked: boolean;
  /** Listeners are told in the order in which they came, until they leave; at once that it is over, where it is. */
  listen(listener: LifeListener): Stander<LifeListener> | undefined;
  lose(reason: string, cause?: unknown): void;
}

/** Something that is gone on with in one session, whatever breaks, until the session is over. */
export abstract class Undertaking<T> implements LifeListener, Unsubscribable {
  /** What an earlier one still tells counts for nothing. */
  #attempt: Attempt<T> | undefined;
  #isRunning = false;
  /** Nothing more is told. */
  #isStopped = false;
  #isEnded = false;
  #listening: Stander<LifeListener> | undefined;
  #source: Subscription | undefined;
  #pause: Subscription | undefined;
  protected failures = 0;

  constructor(
    protected readonly life: Life,
    private readonly observer: Observer<T>,
    private readonly run: () => Observable<T>,
  ) {}

  start(): void {
    this.#listening = this.life.listen(this);
    if (this.#isEnded) this.#listening?.leave();
    else if (this.life.isLinked) this.begin();
  }

  /** Nothing is told from here on. */
  unsubscribe(): void {
    this.#isStopped = true;
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.end();
  }

  /** Completes without a loss where the backend was closed: then nothing goes on either. */
  over(cause: SessionLost | undefined): void {
    if (cause === undefined) this.complete();
    else this.error(cause);
  }

  abstract linked(isLinked: boolean): void;
  protected abstract told(value: T): void;
  protected abstract completed(): void;
  /** Whether it is tried again. */
  protected abstract mayFail(cause: Unavailable): boolean;

  protected get isAnsweredOnce(): boolean {
    return false;
  }

  protected get isRunning(): boolean {
    return this.#isRunning;
  }

  protected get isPausing(): boolean {
    return this.#pause !== undefined;
  }

  protected next(value: T): void {
    if (!this.#isStopped) this.observer.next(value);
  }

  /** Told first, and ended then, as in a stream. */
  protected error(error: unknown): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.observer.error(error);
    this.unsubscribe();
  }

  protected complete(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.observer.complete();
    this.unsubscribe();
  }

  protected begin(): void {
    const attempt = new Attempt(this);
    this.#attempt = attempt;
    this.#isRunning = true;
    const source = this.#made().subscribe(attempt);
    attempt.isBeginning = false;
    // Whatever it has set off may have ended it, or the session.
    if (this.#attempt !== attempt) {
      source.unsubscribe();
      return;
    }
    this.#source = source;
    if (attempt.isDone) this.#complete();
  }

  /** @internal */
  heard(attempt: Attempt<T>, value: T): void {
    if (this.#attempt !== attempt || attempt.isDone) return;
    this.told(value);
    if (this.isAnsweredOnce) this.done(attempt);
  }

  /** @internal */
  failed(attempt: Attempt<T>, error: unknown): void {
    if (this.#attempt === attempt && !attempt.isDone) this.fail(error);
  }

  /** @internal */
  done(attempt: Attempt<T>): void {
    attempt.isDone = true;
    if (!attempt.isBeginning && this.#attempt === attempt) this.#complete();
  }

  /** What it tells from here on is not heard. */
  protected cancel(): void {
    this.#attempt = undefined;
    this.#isRunning = false;
    this.#source?.unsubscribe();
    this.#source = undefined;
  }

  protected fail(error: unknown): void {
    this.cancel();
    if (error instanceof SessionLost) this.life.lose(error.reason, error);
    if (!(error instanceof Unavailable) || !this.mayFail(error)) {
      this.error(error);
      return;
    }
    if (this.#isEnded) return;
    const { context } = this.life;
    this.#pause = timer(backoffMs(context, this.failures++), context.clock).subscribe(() => {
      this.#pause = undefined;
      if (this.life.isLinked) this.begin();
    });
  }

  protected end(): void {
    this.cancel();
    this.#pause?.unsubscribe();
    this.#listening?.leave();
  }

  #made(): Observable<T> {
    try {
      return this.run();
    } catch (error) {
      return throwError(() => error);
    }
  }

  #complete(): void {
    this.#isRunning = false;
    this.completed();
  }
}

/** One subscription to the source of an undertaking. */
class Attempt<T> implements Observer<T> {
  isBeginning = true;
  isDone = false;

  constructor(private readonly undertaking: Undertaking<T>) {}

  next(value: T): void {
    this.undertaking.heard(this, value);
  }

  error(error: unknown): void {
    this.undertaking.failed(this, error);
  }

  complete(): void {
    this.undertaking.done(this);
  }
}

/** How an operation is carried out, where not as usual. */
export interface Perseverance {
  /** Told of each passing failure; `false` stops it. */
  readonly again?: (cause: Unavailable) => boolean;
  /** Given what is to be called when a request goes out: the time for the answer runs from then, and not from when it is begun. */
  readonly asking?: (sent: () => void) => void;
  /** It is begun when this lets it in. */
  readonly through?: Window;
  /** The first answer is its end. */
  readonly isAnsweredOnce?: boolean;
}

/** One idempotent operation, tried until it has come to its end. */
export class Operation<T> extends Undertaking<T> {
  #wait: Wait | undefined;
  /** While it waits to be let in, or is under way. */
  #turn: Turn | undefined;
  #isAnswered = false;

  constructor(
    life: Life,
    observer: Observer<T>,
    private readonly name: string,
    run: () => Observable<T>,
    private readonly how: Perseverance,
  ) {
    super(life, observer, run);
    how.asking?.(() => {
      if (this.isRunning) this.#time();
    });
  }

  /** A request that is under way when the link breaks may be answered all the same. */
  linked(isLinked: boolean): void {
    if (this.isRunning || this.isPausing) return;
    // Who waits to be let in waits for the link instead.
    this.#leaveTurn();
    if (isLinked) this.begin();
  }

  protected override begin(): void {
    const { through } = this.how;
    if (through === undefined) {
      this.#run();
      return;
    }
    this.#turn = new Turn(through, () => this.#run());
    this.#turn.take();
  }

  protected override fail(error: unknown): void {
    super.fail(error);
    this.#leaveTurn();
  }

  protected override end(): void {
    super.end();
    this.#leaveTurn();
  }

  protected override get isAnsweredOnce(): boolean {
    return this.how.isAnsweredOnce === true;
  }

  protected told(value: T): void {
    this.#answer();
    this.next(value);
  }

  protected completed(): void {
    this.#answer();
    this.complete();
  }

  protected mayFail(cause: Unavailable): boolean {
    return this.how.again?.(cause) ?? true;
  }

  protected override cancel(): void {
    this.#answer();
    super.cancel();
  }

  #run(): void {
    this.#isAnswered = false;
    if (this.how.asking === undefined) this.#time();
    super.begin();
  }

  #leaveTurn(): void {
    this.#turn?.leave();
    this.#turn = undefined;
  }

  /** From each time that it is sent until the first answer. */
  #time(): void {
    if (this.#isAnswered) return;
    const { patience, context } = this.life;
    this.#wait?.leave();
    this.#wait = patience.begin(() => {
      const late = new Error(`no answer within ${context.timing.requestTimeoutMs} ms`);
      this.fail(new Unavailable(context.store, this.name, late));
    });
  }

  #answer(): void {
    this.#isAnswered = true;
    this.#wait?.leave();
    this.#wait = undefined;
  }
}

/** A stream of the store, followed while the link is up, and from its start again after each break. */
export class Following<T> extends Undertaking<T> {
  linked(isLinked: boolean): void {
    if (this.isPausing) return;
    if (isLinked) this.begin();
    else this.cancel();
  }

  protected told(value: T): void {
    this.failures = 0;
    this.next(value);
  }

  /** It has said all there is to say over this link. */
  protected completed(): void {}

  protected mayFail(): boolean {
    return true;
  }
}
