import { catchError, EMPTY, Observable, Subject, type Subscription } from 'rxjs';

interface Reading<T> {
  readonly number: number;
  readonly value: T;
}

/**
 * One thing on the server that several follow: read for each who joins, and again after each change. One reading is
 * under way at most and one more is due, however many changes there are, and all get what it yields.
 */
export class Watch<T> {
  readonly #readings = new Subject<Reading<T>>();
  #users = 0;
  #changes: Subscription | undefined;
  #reading: Subscription | undefined;
  #isListening = false;
  #isDue = false;
  #number = 0;

  constructor(
    /** Emits when changes are listened to, and at each one. */
    private readonly changes$: Observable<void>,
    private readonly read: () => Observable<T>,
    private readonly forsaken: () => void,
  ) {}

  /** Emits what there is, and what there is after each change. */
  readonly value$: Observable<T> = new Observable((observer) => {
    // What a reading that is under way yields may be older than this subscription.
    const first = this.#number + 1;
    observer.add(
      this.#readings.subscribe({
        next: ({ number, value }) => {
          if (number >= first) observer.next(value);
        },
        error: (error) => observer.error(error),
      }),
    );
    this.#users += 1;
    if (this.#changes === undefined) this.#listen();
    else if (this.#isListening) this.#readAgain();
    return () => {
      this.#users -= 1;
      if (this.#users > 0) return;
      this.forsaken();
      this.#changes?.unsubscribe();
      this.#reading?.unsubscribe();
    };
  });

  #listen(): void {
    this.#changes = this.changes$.subscribe({
      next: () => {
        this.#isListening = true;
        this.#readAgain();
      },
      error: (error) => this.#fail(error),
    });
  }

  #readAgain(): void {
    if (this.#reading !== undefined) {
      this.#isDue = true;
      return;
    }
    const number = ++this.#number;
    this.#isDue = false;
    let isOver = false;
    const reading = this.read()
      .pipe(
        catchError((error) => {
          this.#fail(error);
          return EMPTY;
        }),
      )
      .subscribe({
        next: (value) => this.#readings.next({ number, value }),
        complete: () => {
          isOver = true;
          this.#reading = undefined;
          if (this.#isDue && this.#users > 0) this.#readAgain();
        },
      });
    if (!isOver) this.#reading = reading;
  }

  #fail(error: unknown): void {
    // Whoever subscribes again does so to a new one.
    this.forsaken();
    this.#readings.error(error);
  }
}
