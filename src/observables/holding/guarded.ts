import { EMPTY, Observable, type ObservableInput, ReplaySubject, Subscription } from 'rxjs';
import { type Grant, isLoss } from './grant.js';
import { disown, settling } from './settling.js';
import { Work } from './work.js';

/** What work is done under. */
interface Guard<G> {
  /** Emits the grant, and errors with its loss. It is let go when what `beforeLeave` gives has completed. */
  acquire(beforeLeave: () => ObservableInput<unknown>): Observable<G>;
  /** Told when work begins; `settled$` completes when nothing of it runs any more, whatever has become of the grant. */
  begun?(settled$: Observable<never>): void;
}

/** Does `work` under what `guard` acquires: work first, then release. */
export function guarded<T, G extends Pick<Grant, 'isValid' | 'signal'> = Grant>(
  work: (grant: G) => ObservableInput<T>,
  guard: Guard<G>,
): Observable<T> {
  return new Observable<T>((subscriber) => {
    let running: Work<T> | undefined;
    /** What there is of the work. While it is `called` nobody knows what it will be; `settling` is a promise. */
    let stage: 'none' | 'called' | 'running' | 'settling' = 'none';
    let isLost = false;
    let isClosing = false;
    /** Completes when nothing of the work runs any more, the call that makes it included. */
    let settled$: Observable<never> = EMPTY;
    const held = new Subscription();
    subscriber.add(() => {
      running?.stop();
      held.unsubscribe();
    });

    const fail = (error: unknown): void => {
      isLost = true;
      running?.stop();
      subscriber.error(error);
    };
    /** A promise settles first, and tells its value; anything else ends when the backend closes. */
    const close = (): void => {
      isClosing = true;
      if (stage === 'called' || stage === 'settling') return;
      running?.stop();
      subscriber.complete();
    };
    const begin = (grant: G): void => {
      const settled = new ReplaySubject<never>();
      settled$ = settled;
      guard.begun?.(settled);
      /**
       * Asked of the clock: a blocked event loop runs what the work tells before the timer that tells the loss. And the
       * signal, which has aborted by then, tells the work before the stream: what the work tells of that comes too late. Where
       * it was given up, or the backend closes, what the work tells before it settles is told as ever.
       */
      const tellLoss = (): void => {
        if (!grant.isValid() && isLoss(grant.signal.reason)) fail(grant.signal.reason);
      };
      stage = 'called';
      const made = attempt(() => {
        const input = work(grant);
        tellLoss();
        return isLost ? { work$: EMPTY, settled$: disown(input), isPromise: true } : settling(input);
      });
      if ('error' in made) {
        settled.complete();
        subscriber.error(made.error);
        return;
      }
      const { work$, settled$: rest$, isPromise } = made.value;
      stage = isPromise ? 'settling' : 'running';
      if (subscriber.closed || (isClosing && !isPromise)) {
        // Ended while the work was made: it is not begun, and what runs already is waited for.
        (isPromise ? rest$ : EMPTY).subscribe(settled);
        subscriber.complete();
        return;
      }
      running = new Work(work$, {
        next: (value) => {
          tellLoss();
          subscriber.next(value);
        },
        error: (error) => subscriber.error(error),
        complete: () => {
          tellLoss();
          subscriber.complete();
        },
        over: () => rest$.subscribe(settled),
      });
      running.start();
    };
    /** Asked when the backend closes, too, while one is still subscribed; and when one has waited for long enough. */
    const beforeLeave = (): Observable<never> => {
      if (stage !== 'none' && !subscriber.closed) close();
      return settled$;
    };
    held.add(guard.acquire(beforeLeave).subscribe({ next: begin, error: fail, complete: close }));
  });
}

function attempt<T>(act: () => T): { value: T } | { error: unknown } {
  try {
    return { value: act() };
  } catch (error) {
    return { error };
  }
}
