import { type Observable, type Observer, Subject, takeUntil } from 'rxjs';
import { tearingDown } from '../../backends/shared/teardown.js';

/** Who is told of guarded work. */
export interface WorkObserver<T> extends Observer<T> {
  /** Nothing of the work is left, neither its subscribing nor its teardown. Comes last, however the work has ended. */
  over(): void;
}

/**
 * Guarded work: an Observable that can be stopped at any time, even while it is being subscribed to, and whose end is
 * told after its own teardown. So whatever guards it is let go only when nothing of it is left.
 */
export class Work<T> {
  readonly #stopping = new Subject<void>();
  #isStopped = false;

  constructor(
    private readonly source: Observable<T>,
    private readonly observer: WorkObserver<T>,
  ) {}

  get isStopped(): boolean {
    return this.#isStopped;
  }

  start(): void {
    let end = (): void => undefined;
    let tornDown = (): void => undefined;
    const running = this.source.pipe(takeUntil(this.#stopping)).subscribe({
      next: (value) => this.observer.next(value),
      error: (error) => {
        tornDown = tearingDown();
        end = () => this.observer.error(error);
      },
      complete: () => {
        tornDown = tearingDown();
        // That it was stopped is no end of its own.
        if (!this.#isStopped) end = () => this.observer.complete();
      },
    });
    // A source tears down after it has completed, and may be stopped while it subscribes; what is added here comes after both.
    running.add(() => {
      end();
      this.observer.over();
      tornDown();
    });
  }

  /** Unsubscribes from the source; no item and no completion is told any more. */
  stop(): void {
    this.#isStopped = true;
    this.#stopping.next();
  }
}
