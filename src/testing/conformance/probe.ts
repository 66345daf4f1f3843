import { defer, type Observable, ReplaySubject, type Subscription, skip } from 'rxjs';
import { firstWithin } from '../processes/until.js';

type Ending = { readonly error: unknown } | 'completed';

/** Subscribes at once and remembers all that comes, and when, by the clock that all processes of a machine share. */
export class Probe<T> implements Disposable {
  readonly values: T[] = [];
  readonly timesNs: bigint[] = [];
  endedAtNs: bigint | undefined;
  readonly #values$ = new ReplaySubject<T>();
  readonly #ending$ = new ReplaySubject<Ending>();
  readonly #subscription: Subscription;

  constructor(
    source: Observable<T>,
    private readonly limitMs: number,
  ) {
    this.#subscription = source.subscribe({
      next: (value) => {
        this.values.push(value);
        this.timesNs.push(process.hrtime.bigint());
        this.#values$.next(value);
      },
      error: (error) => {
        this.#end({ error });
        this.#values$.error(error);
      },
      complete: () => {
        this.#end('completed');
        this.#values$.complete();
      },
    });
  }

  /** The latest value. */
  get last(): T | undefined {
    return this.values.at(-1);
  }

  get hasEnded(): boolean {
    return this.endedAtNs !== undefined;
  }

  /** The first value there was or will be. */
  first(what: string, limitMs: number = this.limitMs): Promise<T> {
    return firstWithin(this.#values$, () => true, limitMs, what);
  }

  /** The first of all values, past ones too, that satisfies `predicate`. */
  ever(predicate: (value: T) => boolean, what: string, limitMs: number = this.limitMs): Promise<T> {
    return firstWithin(this.#values$, predicate, limitMs, what);
  }

  /** The latest value if it satisfies `predicate`, or the first one after it that does. */
  now(predicate: (value: T) => boolean, what: string, limitMs: number = this.limitMs): Promise<T> {
    const current$ = defer(() => this.#values$.pipe(skip(Math.max(0, this.values.length - 1))));
    return firstWithin(current$, predicate, limitMs, what);
  }

  /** What the source errors with. */
  async failure(what: string, limitMs: number = this.limitMs): Promise<unknown> {
    const ending = await firstWithin(this.#ending$, (end) => end !== 'completed', limitMs, `the error: ${what}`);
    return typeof ending === 'object' ? ending.error : undefined;
  }

  async completion(what: string, limitMs: number = this.limitMs): Promise<void> {
    await firstWithin(this.#ending$, (end) => end === 'completed', limitMs, `the completion: ${what}`);
  }

  /** The end, whichever it is. */
  end(what: string, limitMs: number = this.limitMs): Promise<Ending> {
    return firstWithin(this.#ending$, () => true, limitMs, `the end: ${what}`);
  }

  unsubscribe(): void {
    this.#subscription.unsubscribe();
  }

  [Symbol.dispose](): void {
    this.unsubscribe();
  }

  #end(ending: Ending): void {
    this.endedAtNs = process.hrtime.bigint();
    this.#ending$.next(ending);
    this.#ending$.complete();
  }
}
