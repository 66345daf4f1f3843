import { type Observable, Subscription } from 'rxjs';

/**
 * Reads a stream of states with `for await`: `members`, `holders`, `leader`, `status`.
 *
 *     source   a-b-c----d--|
 *     reader   a-----c--d--|      was busy when b came
 *
 * Subscribes when the loop begins, and unsubscribes when it is left. A reader that is busy is given the latest state next, and not
 * those in between.
 *
 * **Ends** when the source completes, after the latest state.
 * **Throws** what the source errors with, after the latest state.
 * **Guarantee** not: that each state is seen. But: the last one is.
 * **Source** kazoo `ChildrenWatch`, etcd `Election.Observe`.
 *
 * @example
 * for await (const ids of latest(members(backend, 'workers'))) if (ids.size > 1) break;
 */
export function latest<T>(source: Observable<T>): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: () => new LatestIterator(source) };
}

type End = { readonly error: unknown } | 'complete';

class LatestIterator<T> implements AsyncIterator<T, undefined> {
  readonly #subscription = new Subscription();
  #isSubscribed = false;
  #state: { readonly value: T } | undefined;
  #end: End | undefined;
  /** Calls of `next` that wait. */
  #waiting: (() => void)[] = [];

  constructor(private readonly source: Observable<T>) {}

  async next(): Promise<IteratorResult<T, undefined>> {
    this.#subscribe();
    while (this.#state === undefined && this.#end === undefined)
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    if (this.#state !== undefined) {
      const { value } = this.#state;
      this.#state = undefined;
      return { done: false, value };
    }
    if (this.#end !== undefined && this.#end !== 'complete') {
      const { error } = this.#end;
      this.#end = 'complete';
      throw error;
    }
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#state = undefined;
    this.#ended('complete');
    this.#subscription.unsubscribe();
    return Promise.resolve({ done: true, value: undefined });
  }

  #subscribe(): void {
    if (this.#isSubscribed || this.#end !== undefined) return;
    // Before it subscribes, in which it may be asked again, or left.
    this.#isSubscribed = true;
    const reading = this.source.subscribe({
      next: (value) => {
        this.#state = { value };
        this.#wake();
      },
      error: (error) => this.#ended({ error }),
      complete: () => this.#ended('complete'),
    });
    this.#subscription.add(reading);
  }

  #ended(end: End): void {
    this.#end ??= end;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}
