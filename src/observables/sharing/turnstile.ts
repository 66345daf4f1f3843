import { Observable, type SchedulerLike, Subscription } from 'rxjs';

/**
 * Lets so many be under way at once, and the next ones begin in a turn of their own. Thousands of requests at the same moment, or
 * of answers in one go, keep a process from renewing its session.
 */
export class Turnstile {
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
      let isUnderWay = false;
      const answered = (): void => {
        if (!isUnderWay) return;
        isUnderWay = false;
        if (this.#answered++ === 0) this.scheduler.schedule(() => this.#goOn());
      };
      const running = new Subscription();
      const begin = (): void => {
        isUnderWay = true;
        this.#underWay++;
        running.add(
          source.subscribe({
            next: (value) => {
              answered();
              subscriber.next(value);
            },
            error: (error) => subscriber.error(error),
            complete: () => subscriber.complete(),
          }),
        );
      };
      subscriber.add(running);
      subscriber.add(() => {
        this.#waiting.delete(begin);
        answered();
      });
      this.#waiting.add(begin);
      this.#next();
    });
  }

  #goOn(): void {
    this.#underWay -= this.#answered;
    this.#answered = 0;
    this.#next();
  }

  #next(): void {
    for (const begin of this.#waiting) {
      if (this.#underWay >= this.most) return;
      this.#waiting.delete(begin);
      begin();
    }
  }
}
