import { Observable, type SchedulerLike, Subscription, take } from 'rxjs';

/**
 * Lets so many be under way at once, and the next ones begin in a turn of their own. Thousands of requests at the same moment, or
 * of answers in one go, keep a process from renewing its session.
 */
export class Turnstile {
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>();
  #underWay = 0;
  #answered = 0;

  constructor(
    private readonly most: number,
    private readonly scheduler: SchedulerLike,
  ) {}

  /** `source`, subscribed to in its turn. It is under way until it first emits, or ends. */
  through<T>(source: Observable<T>): Observable<T> {
    return new Observable<T>((subscriber) => {
      const running = new Subscription();
      const turn = this.#turnOf(() =>
        running.add(
          source.subscribe({
            next: (value) => {
              turn.end();
              subscriber.next(value);
            },
            error: (error) => subscriber.error(error),
            complete: () => subscriber.complete(),
          }),
        ),
      );
      subscriber.add(running);
      subscriber.add(() => turn.end());
      turn.ask();
    });
  }

  /** Completes when it is the turn of what is under way until `answer$` emits or ends. */
  turn(answer$: Observable<unknown>): Observable<never> {
    return new Observable<never>((subscriber) => {
      let hasBegun = false;
      const turn = this.#turnOf(() => {
        hasBegun = true;
        answer$.pipe(take(1)).subscribe({ error: () => turn.end(), complete: () => turn.end() });
        subscriber.complete();
      });
      subscriber.add(() => {
        if (!hasBegun) turn.end();
      });
      turn.ask();
    });
  }

  #turnOf(begin: () => void): { ask(): void; end(): void } {
    let isUnderWay = false;
    const enter = (): void => {
      isUnderWay = true;
      this.#underWay++;
      begin();
    };
    return {
      ask: () => {
        this.#waiting.add(enter);
        this.#next();
      },
      end: () => {
        this.#waiting.delete(enter);
        if (!isUnderWay) return;
        isUnderWay = false;
        if (this.#answered++ === 0) this.scheduler.schedule(() => this.#goOn());
      },
    };
  }

  #goOn(): void {
    this.#underWay -= this.#answered;
    this.#answered = 0;
    this.#next();
  }

  #next(): void {
    for (const enter of this.#waiting) {
      if (this.#underWay >= this.most) return;
      this.#waiting.delete(enter);
      enter();
    }
  }
}
