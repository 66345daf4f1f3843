import {
  AsyncSubject,
  catchError,
  defer,
  EMPTY,
  from,
  ignoreElements,
  Observable,
  type ObservableInput,
  ReplaySubject,
} from 'rxjs';

/** Work, and what is left of it when one has unsubscribed. */
export interface Settling<T> {
  readonly work$: Observable<T>;
  /** Completes when nothing of the work runs any more. At once for what ends when it is unsubscribed from. */
  readonly settled$: Observable<never>;
  /** `true`: it cannot be told to stop, only waited for. */
  readonly isPromise: boolean;
}

/** Work that tells itself when nothing of it runs any more: made of other work, which may be promises. */
export class SettlingWork<T> extends Observable<T> {
  constructor(
    source: Observable<T>,
    /** Completes when nothing of what was begun runs any more. */
    readonly settled$: Observable<never>,
  ) {
    super((subscriber) => source.subscribe(subscriber));
  }
}

/** Takes what RxJS takes for an Observable, and tells when it has really ended: promises and async iterables go on by themselves. */
export function settling<T>(input: ObservableInput<T>): Settling<T> {
  if (input instanceof SettlingWork) return { work$: input, settled$: input.settled$, isPromise: false };
  if (isThenable<T>(input)) return { ...settlingOf(input), isPromise: true };
  if (isAsyncIterable<T>(input)) return { ...iterating(input), isPromise: false };
  return { work$: from(input), settled$: EMPTY, isPromise: false };
}

/** Lets go of what nobody may begin any more, and completes when nothing of it runs. A promise runs already, and its failure must not escape. */
export function disown(input: unknown): Observable<never> {
  // Anything else with a `then` may begin only when that is called.
  const isRunning = isThenable(input) && Object.prototype.toString.call(input) === '[object Promise]';
  return isRunning ? settlingOf(input).settled$ : EMPTY;
}

interface Thenable<T> {
  then(settled: (value: T) => void, failed: (error: unknown) => void): unknown;
}

function isThenable<T>(input: unknown): input is Thenable<T> {
  return canHaveFields(input) && 'then' in input && typeof input.then === 'function';
}

function isAsyncIterable<T>(input: unknown): input is AsyncIterable<T> {
  return canHaveFields(input) && Symbol.asyncIterator in input;
}

/** RxJS takes functions for promises and iterables, too. */
function canHaveFields(input: unknown): input is object {
  return (typeof input === 'object' && input !== null) || typeof input === 'function';
}

/** Calls `then` once: a query builder, for one, runs its query each time. */
function settlingOf<T>(thenable: Thenable<T>): Pick<Settling<T>, 'work$' | 'settled$'> {
  const result = new AsyncSubject<T>();
  thenable.then(
    (value) => {
      result.next(value);
      result.complete();
    },
    (error) => result.error(error),
  );
  return {
    work$: result.asObservable(),
    settled$: result.pipe(
      ignoreElements(),
      catchError(() => EMPTY),
    ),
  };
}

/** Unlike RxJS, waits for the step that is under way when one unsubscribes, and for what the iterator does at its end. */
function iterating<T>(iterable: AsyncIterable<T>): Pick<Settling<T>, 'work$' | 'settled$'> {
  const settled = new ReplaySubject<never>();
  const done = (): void => settled.complete();
  const work$ = new Observable<T>((subscriber) => {
    let iterator: AsyncIterator<T> | undefined;
    // What is thrown where a promise should be given counts as that promise's failure.
    const next$ = defer(() => {
      iterator ??= iterable[Symbol.asyncIterator]();
      return iterator.next();
    });
    const end$ = defer(() => iterator?.return?.() ?? EMPTY);
    let isUnderWay = false;
    let hasEnded = false;
    const step = (): void => {
      isUnderWay = true;
      next$.subscribe({
        next: (result) => {
          isUnderWay = false;
          if (result.done) {
            hasEnded = true;
            done();
            subscriber.complete();
          } else if (subscriber.closed) stop();
          else {
            subscriber.next(result.value);
            if (!subscriber.closed) step();
          }
        },
        error: (error) => {
          hasEnded = true;
          done();
          subscriber.error(error);
        },
      });
    };
    /** A generator is asked to end at once, and does so after its step; any other iterator when the step is over. */
    const stop = (): void => {
      if (hasEnded) return;
      if (iterator?.return === undefined) {
        if (!isUnderWay) done();
        return;
      }
      hasEnded = true;
      end$.subscribe({ error: done, complete: done });
    };
    subscriber.add(stop);
    step();
  });
  return { work$, settled$: settled };
}
