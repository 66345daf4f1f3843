import { catchError, EMPTY, Observable, type SchedulerLike, Subject, Subscription, timer } from 'rxjs';

/** What is known of one thing on the server. */
export interface Known<T> {
  /** What is told of it. */
  readonly value: T;
  /**
   * Takes in a change that was heard of. Whether that makes it another; `undefined`: it cannot be said what it is now, and
   * it must be read.
   */
  follow(change: string): boolean | undefined;
  /** For how long changes are gathered after it was told: that costs the more, the more there is to tell. */
  readonly pauseMs: number;
}

/** What nobody says of how it changes: it is read after each change. */
export function unfollowed<T>(value: T): Known<T> {
  return { value, follow: () => undefined, pauseMs: 0 };
}

interface Told<T> {
  readonly number: number;
  readonly version: number;
  readonly value: T;
}

/**
 * One thing on the server that several follow: read for each who joins, and after each change of which it is not known
 * what it does. One reading is under way at most and one more is due, however many changes there are, and all get what it
 * yields.
 */
export class Watch<T> {
  readonly #told = new Subject<Told<T>>();
  readonly #running = new Subscription();
  #users = 0;
  #isListening = false;
  #isReading = false;
  #isDue = false;
  /** Of the latest reading, and of the latest that has told what there is. */
  #number = 0;
  #answered = 0;
  #known: Known<T> | undefined;
  /** Of what is known: another one after each change. */
  #version = 0;
  /** Changes during a reading: it may have them, or not. */
  #heard: string[] = [];
  #isUntold = false;
  #pause: Subscription | undefined;

  constructor(
    /** Emits `undefined` when changes are listened to, and each one. */
    private readonly changes$: Observable<string | undefined>,
    /** What it is; or, where that is `known`, one more change of it: of none, if it has been followed to here. */
    private readonly read: (known: Known<T> | undefined) => Observable<Known<T> | string>,
    private readonly forsaken: () => void,
    private readonly scheduler: SchedulerLike,
  ) {}

  /** Emits what there is, and what there is after changes. */
  readonly value$: Observable<T> = new Observable((observer) => {
    // What a reading that is under way yields may be older than this subscription.
    const first = this.#number + 1;
    let last: number | undefined;
    observer.add(
      this.#told.subscribe({
        next: ({ number, version, value }) => {
          if (number < first || version === last) return;
          last = version;
          observer.next(value);
        },
        error: (error) => observer.error(error),
      }),
    );
    this.#users += 1;
    if (this.#users === 1) this.#listen();
    else if (this.#isListening) this.#readAgain();
    return () => {
      this.#users -= 1;
      if (this.#users > 0) return;
      this.forsaken();
      this.#running.unsubscribe();
    };
  });

  /** What is known may not be so any more. */
  doubt(): void {
    this.#known = undefined;
    if (this.#isListening) this.#readAgain();
  }

  #listen(): void {
    this.#running.add(
      this.changes$.subscribe({
        next: (change) => {
          this.#isListening = true;
          if (change === undefined) this.#readAgain();
          else if (this.#isReading) this.#heard.push(change);
          else this.#follow([change]);
        },
        error: (error) => this.#fail(error),
      }),
    );
  }

  #readAgain(): void {
    if (this.#isReading) {
      this.#isDue = true;
      return;
    }
    const number = ++this.#number;
    this.#isDue = false;
    this.#isReading = true;
    this.#running.add(
      this.read(this.#known)
        .pipe(
          catchError((error) => {
            this.#fail(error);
            return EMPTY;
          }),
        )
        .subscribe({
          next: (found) => this.#found(number, found),
          complete: () => {
            this.#isReading = false;
            if (this.#isDue && this.#users > 0) this.#readAgain();
          },
        }),
    );
  }

  #found(number: number, found: Known<T> | string): void {
    const heard = this.#heard;
    this.#heard = [];
    if (typeof found === 'string') {
      if (!this.#follow([...heard, found])) return;
      this.#answered = number;
      this.#tell();
      return;
    }
    this.#known = found;
    this.#version += 1;
    this.#answered = number;
    this.#tell();
    this.#follow(heard);
  }

  /** Whether it is known what these changes make of it. */
  #follow(changes: readonly string[]): boolean {
    for (const change of changes) {
      const isAnother = this.#known?.follow(change);
      if (isAnother === undefined) {
        this.#known = undefined;
        this.#readAgain();
        return false;
      }
      if (isAnother) {
        this.#version += 1;
        this.#tellSoon();
      }
    }
    return true;
  }

  /** Once for all changes of this turn, and of the pause after the last time. */
  #tellSoon(): void {
    if (this.#isUntold) return;
    this.#isUntold = true;
    queueMicrotask(() => {
      if (this.#isUntold && this.#pause === undefined) this.#tell();
    });
  }

  #tell(): void {
    this.#isUntold = false;
    if (this.#known === undefined || this.#running.closed) return;
    const { value, pauseMs } = this.#known;
    this.#pause?.unsubscribe();
    this.#pause = undefined;
    if (pauseMs > 0) {
      this.#pause = timer(pauseMs, this.scheduler).subscribe(() => {
        this.#pause = undefined;
        if (this.#isUntold) this.#tell();
      });
      this.#running.add(this.#pause);
    }
    this.#told.next({ number: this.#answered, version: this.#version, value });
  }

  #fail(error: unknown): void {
    // Whoever subscribes again does so to a new one.
    this.forsaken();
    this.#told.error(error);
  }
}
