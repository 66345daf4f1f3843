import { type Observable, type Observer, Subject, takeUntil } from 'rxjs';

/**
 * Guarded work: an Observable that can be stopped at any time, even while it is being subscribed to, and whose end is
 * told after its own teardown. So whatever guards it is let go only when nothing of it is left.
 */
export class Work<T> {
  readonly #stopping = new Subject<void>();
  #isStopped = false;

  constructor(
    private readonly source: Observable<T>,
    private readonly observer: Observer<T>,
  ) {}

  start(): void {
    let end = (): void => undefined;
    const running = this.source.pipe(takeUntil(this.#stopping)).subscribe({
      next: (value) => this.observer.next(value),
      error: (error) => {
        end = () => this.observer.error(error);
      },
      complete: () => {
        end = () => this.observer.complete();
      },
    });
    // A source tears down after it has completed; what is added here comes after that.
    running.add(() => {
      if (!this.#isStopped) end();
    });
  }

  /** Unsubscribes from the source; the observer is told nothing more. */
  stop(): void {
    this.#isStopped = true;
    this.#stopping.next();
  }
}
