import { catchError, Observable, type Subscription, throwError } from 'rxjs';
import { type Backend, BackendClosed, type Grant, schedule, type Tick } from '../../../src/index.js';
import type { Roster } from '../history.js';
import { fail } from './fatal.js';
import type { Setting } from './setting.js';

export interface TickHabit {
  readonly schedule: string;
  readonly everyMs: number;
  readonly delivery: 'at-most-once' | 'at-least-once';
  readonly workMs: readonly [number, number];
}

/** Takes part in a schedule. */
export class Ticker {
  #stay: Subscription | undefined;

  constructor(
    private readonly backend: Backend,
    private readonly habit: TickHabit,
    private readonly setting: Setting,
  ) {}

  start(): void {
    const { schedule: name, everyMs, delivery } = this.habit;
    this.setting.recorder.tell({
      kind: 'scheduled',
      schedule: name,
      everyMs,
      isRepeated: delivery === 'at-least-once',
    });
    const options = { delivery, missed: 'all', overlap: 'queue' } as const;
    this.#stay = schedule(this.backend, name, { everyMs }, (tick, grant) => this.#work(tick, grant), options)
      .pipe(catchError((error) => (error instanceof BackendClosed ? [] : throwError(() => error))))
      .subscribe({
        next: ({ kind, tick }) => {
          this.setting.recorder.tell({ kind: 'note', text: `${name}: tick ${tick.date.getTime()} ${kind}` });
        },
        error: (error) => fail(`schedule ${name}`, error),
      });
  }

  stop(): void {
    this.#stay?.unsubscribe();
  }

  #work({ date }: Tick, { token }: Grant): Observable<never> {
    const { schedule: name, workMs } = this.habit;
    const roster: Roster = `election schedule ${name}`;
    return new Observable((subscriber) => {
      const tick = date.getTime();
      this.setting.recorder.tell({ kind: 'tick began', schedule: name, tick, token });
      this.setting.acquired(roster);
      const timer = setTimeout(
        () => {
          this.setting.recorder.tell({ kind: 'tick ended', schedule: name, tick });
          subscriber.complete();
        },
        this.setting.random.between(...workMs),
      );
      subscriber.add(() => clearTimeout(timer));
    });
  }
}
