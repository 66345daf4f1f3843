import { type SchedulerLike, type Subscription, timer } from 'rxjs';
import { Row, type Stander } from './row.js';

/** One who waits. */
interface Waiting {
  readonly dueMs: number;
  readonly over: () => void;
}

/** What is waited for is there, or not awaited any longer, when it leaves. */
export type Wait = Stander<Waiting>;

/** Tells each of many when it has waited for so long: by one timer for all, since those who began first are due first. */
export class Patience {
  readonly #waits = new Row<Waiting>();
  #timer: Subscription | undefined;

  constructor(
    private readonly ms: number,
    private readonly clock: SchedulerLike,
  ) {}

  begin(over: () => void): Wait {
    this.#timer ??= this.#after(this.ms);
    return this.#waits.add({ dueMs: this.clock.now() + this.ms, over });
  }

  dispose(): void {
    this.#timer?.unsubscribe();
  }

  #after(ms: number): Subscription {
    return timer(ms, this.clock).subscribe(() => this.#tell());
  }

  /**
   * A timer may fire a little early, and those it was set for may wait no longer: then it is set for the next. Who is told
   * may begin to wait anew, behind others: no timer is set for that meanwhile.
   */
  #tell(): void {
    for (let next = this.#waits.first; next !== undefined; next = this.#waits.first) {
      const restMs = next.value.dueMs - this.clock.now();
      if (restMs > 0) {
        this.#timer = this.#after(Math.max(1, restMs));
        return;
      }
      next.leave();
      next.value.over();
    }
    this.#timer = undefined;
  }
}
