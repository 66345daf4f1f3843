import {
  BehaviorSubject,
  concat,
  defer,
  EMPTY,
  filter,
  ignoreElements,
  map,
  merge,
  mergeAll,
  NEVER,
  Observable,
  type ObservableInput,
  of,
  repeat,
  switchMap,
  take,
  takeUntil,
  takeWhile,
  throwError,
  timer,
} from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { TickInterrupted } from '../../backends/errors.js';
import { shown } from '../../backends/shared/expectations.js';
import type { Lead } from '../elections/lead.js';
import { aborted } from '../holding/aborted.js';
import type { Grant } from '../holding/grant.js';
import { type Settling, SettlingWork, settling } from '../holding/settling.js';
import { Work } from '../holding/work.js';
import { type Journal, type JournalCell, type Line, type TickState, withLine } from './journal.js';
import { dateMsOf, type Occurrences } from './occurrences.js';

/** One of the dates of a schedule. */
export interface Tick {
  readonly date: Date;
  /** 1; greater where a runner before this one died while it worked on the same tick. */
  readonly attempt: number;
}

/**
 * What happened to a tick. `done` has the last value that the work emitted. `missed` tells of all ticks after `since`, up to
 * this one.
 */
export type TickEvent<R> =
  | { readonly kind: 'claimed'; readonly tick: Tick; readonly token: bigint }
  | { readonly kind: 'done'; readonly tick: Tick; readonly token: bigint; readonly value: R | undefined }
  | { readonly kind: 'failed'; readonly tick: Tick; readonly token: bigint; readonly error: unknown }
  | { readonly kind: 'skipped'; readonly tick: Tick; readonly token: bigint }
  | { readonly kind: 'missed'; readonly tick: Tick; readonly token: bigint; readonly since: Date };

/** How ticks are done. */
export interface Manners {
  readonly delivery: 'at-most-once' | 'at-least-once';
  readonly missed: 'skip' | 'last' | 'all';
  readonly missedWithinMs: number;
  readonly overlap: 'skip' | 'queue' | 'parallel';
}

/** A tick that is done, or to be done. */
interface Due {
  readonly at: number;
  readonly attempt: number;
}

/** The wall clock may be set while one sleeps: so one looks again. */
const LONGEST_SLEEP_MS = 10_000;
/** Each that runs stands in the cell, whose size is limited. */
const MOST_AT_ONCE = 100;

const OVER = Symbol('over');

/** What the leader of a schedule does, for as long as it leads. */
export class Ticks<R> {
  /** Every tick until then has been taken care of. */
  #cursor = 0;
  /** What others have begun, and did not end. */
  #again: Due[] = [];
  /** Nothing is late any more. Until then nothing is skipped for what is done late. */
  #isInTime = false;
  readonly #running = new BehaviorSubject(0);
  readonly #unsettled = new BehaviorSubject(0);

  constructor(
    private readonly backend: Backend,
    private readonly name: string,
    private readonly lead: Lead,
    private readonly journal: JournalCell,
    private readonly occurrences: Occurrences,
    private readonly manners: Manners,
    private readonly work: (tick: Tick, grant: Grant) => ObservableInput<R>,
  ) {}

  /** Emits what happens to each tick; completes where none comes any more, or when the backend drains. */
  get events(): SettlingWork<TickEvent<R>> {
    const next$ = defer(() => this.#next()).pipe(
      repeat(),
      takeWhile((step): step is Observable<TickEvent<R>> => step !== OVER),
      mergeAll(),
    );
    const settled$ = this.#unsettled.pipe(
      filter((count) => count === 0),
      take(1),
      ignoreElements(),
    );
    return new SettlingWork(concat(this.#takeOver(), next$), settled$);
  }

  #nowMs(): number {
    return dateMsOf(this.backend);
  }

  get #token(): bigint {
    return this.lead.token;
  }

  /** Finds out what there is to be done that should have been done before one led. */
  #takeOver(): Observable<TickEvent<R>> {
    let events: TickEvent<R>[] = [];
    return this.#write((journal) => {
      const nowMs = this.#nowMs();
      const open = journal?.lines.filter(({ state }) => state === 'claimed') ?? [];
      const isRepeated = this.manners.delivery === 'at-least-once';
      this.#again = isRepeated ? open.map(({ at, attempt }) => ({ at, attempt: attempt + 1 })) : [];
      const interrupted = isRepeated ? [] : open.map((line) => this.#interrupted(line, nowMs));
      const missed = journal === undefined ? undefined : this.#missed(journal.handled, nowMs);
      events = [...interrupted.map(({ event }) => event), ...(missed === undefined ? [] : [missed.event])];
      const lines = [...interrupted.map(({ line }) => line), ...(missed === undefined ? [] : [missed.line])];
      // A new object each time: that it is written keeps the one before from writing.
      return lines.reduce(withLine, journal === undefined ? { handled: nowMs, lines: [] } : { ...journal });
    }).pipe(
      switchMap(({ handled }) => {
        this.#cursor = handled;
        return events;
      }),
    );
  }

  #interrupted(line: Line, nowMs: number): { line: Line; event: TickEvent<R> } {
    const { at, attempt } = line;
    const error = new TickInterrupted(this.name, new Date(at), BigInt(line.token));
    const event = { kind: 'failed', tick: tickOf({ at, attempt }), token: BigInt(line.token), error } as const;
    return { line: { ...line, state: 'failed', to: nowMs, error: error.message }, event };
  }

  /** Which of the ticks before now are not done any more. Those after are. */
  #missed(handled: number, nowMs: number): { line: Line; event: TickEvent<R> } | undefined {
    const { missed, missedWithinMs } = this.manners;
    const latest = this.occurrences.last(nowMs);
    if (latest === undefined || latest <= handled) return undefined;
    const isTooLate = missed === 'skip' || latest < nowMs - missedWithinMs;
    const first = missed === 'last' ? latest : this.occurrences.next(Math.max(handled, nowMs - missedWithinMs - 1));
    const until = isTooLate || first === undefined ? latest : this.occurrences.last(first - 1);
    if (until === undefined || until <= handled) return undefined;
    const tick = { at: until, attempt: 0 };
    return {
      line: { ...this.#lineOf(tick, 'missed'), after: handled },
      event: { kind: 'missed', tick: tickOf(tick), token: this.#token, since: new Date(handled) },
    };
  }

  /** The next step: what it emits is done beside the steps that follow; completes when one may be taken. */
  #next(): Observable<Observable<TickEvent<R>> | typeof OVER> {
    if (this.lead.draining.aborted) return of(OVER);
    const isBusy = this.#running.value > 0;
    const [again] = this.#again;
    if (again !== undefined) {
      if (isBusy && this.manners.overlap !== 'parallel') return this.#idle();
      return this.#claim(again, () => this.#again.shift());
    }
    const at = this.occurrences.next(this.#cursor);
    if (at === undefined) return this.#more();
    const restMs = at - this.#nowMs();
    if (restMs > 0) {
      this.#isInTime = true;
      return this.#sleep(Math.min(restMs, LONGEST_SLEEP_MS));
    }
    const due = { at, attempt: 1 };
    const { overlap } = this.manners;
    if (isBusy && (overlap === 'queue' || (overlap === 'skip' && !this.#isInTime))) return this.#idle();
    if (this.#running.value >= (overlap === 'parallel' ? MOST_AT_ONCE : 1)) return this.#skip({ at, attempt: 0 });
    return this.#claim(due, () => this.#advance(at));
  }

  #advance(at: number): void {
    this.#cursor = at;
    this.occurrences.forget(at);
  }

  #sleep(ms: number): Observable<never> {
    return this.#awaken(timer(ms, this.backend.scheduler), this.occurrences.added$);
  }

  #idle(): Observable<never> {
    return this.#awaken(this.#running.pipe(filter((count) => count === 0)));
  }

  #more(): Observable<typeof OVER> {
    let isMore = false;
    const more$ = this.occurrences.added$.pipe(
      take(1),
      map(() => {
        isMore = true;
      }),
    );
    return concat(
      this.#awaken(more$),
      defer(() => (isMore ? EMPTY : of(OVER))),
    );
  }

  /** Completes when one of these emits, when all have completed, or when the backend drains. */
  #awaken(...causes: readonly Observable<unknown>[]): Observable<never> {
    return merge(...causes).pipe(take(1), takeUntil(aborted(this.lead.draining)), ignoreElements());
  }

  #skip(due: Due): Observable<Observable<TickEvent<R>>> {
    let isMine = false;
    return this.#write((known) => {
      const journal = known ?? this.#lost(due);
      isMine = due.at > journal.handled;
      return isMine ? withLine(journal, this.#lineOf(due, 'skipped')) : journal;
    }).pipe(
      map(() => {
        this.#advance(due.at);
        return isMine ? of({ kind: 'skipped', tick: tickOf(due), token: this.#token } as const) : EMPTY;
      }),
    );
  }

  /** Nothing is done where another has claimed it: not even one who should not lead any more. */
  #claim(due: Due, claimed: () => unknown): Observable<Observable<TickEvent<R>>> {
    const mine = this.#lineOf(due, 'claimed');
    const fromMs = this.#nowMs();
    let isMine = false;
    return this.#write((known) => {
      const journal = known ?? this.#lost(due);
      const line = journal.lines.find(({ at }) => at === due.at);
      const isOpen = line?.state === 'claimed';
      // Whether the first answer to this has got lost.
      const isWritten = isOpen && line.token === mine.token && line.attempt === due.attempt;
      isMine = isWritten || (due.attempt === 1 ? due.at > journal.handled : isOpen && line.attempt < due.attempt);
      return isMine && !isWritten ? withLine(journal, { ...mine, from: fromMs }) : journal;
    }).pipe(
      map(() => {
        claimed();
        return isMine ? this.#run(due, fromMs) : EMPTY;
      }),
    );
  }

  /** Somebody has deleted the cell: what was done is known here. */
  #lost({ at }: Due): Journal {
    return { handled: Math.max(this.#cursor, at - 1), lines: [] };
  }

  #run(due: Due, fromMs: number): Observable<TickEvent<R>> {
    return defer(() => {
      // It will be told; whoever leads next finds the claim.
      if (!this.lead.isValid()) return NEVER;
      const tick = tickOf(due);
      const token = this.#token;
      this.#running.next(this.#running.value + 1);
      const outcome$ = this.#outcome(tick).pipe(
        switchMap((outcome) =>
          this.#write((journal) =>
            withLine(journal ?? this.#lost(due), {
              ...this.#lineOf(due, outcome.kind),
              from: fromMs,
              to: this.#nowMs(),
              ...(outcome.kind === 'failed' && { error: wordsOf(outcome.error) }),
            }),
          ).pipe(map((): TickEvent<R> => ({ ...outcome, tick, token }))),
        ),
      );
      // Told before the next one is begun.
      const over$ = defer(() => {
        this.#running.next(this.#running.value - 1);
        return EMPTY;
      });
      return concat(of({ kind: 'claimed', tick, token } as const), outcome$, over$);
    });
  }

  /** How the work has ended, once nothing of it runs any more. */
  #outcome(tick: Tick): Observable<{ kind: 'done'; value: R | undefined } | { kind: 'failed'; error: unknown }> {
    return new Observable((subscriber) => {
      this.#unsettled.next(this.#unsettled.value + 1);
      let made: Settling<R>;
      try {
        made = settling(this.work(tick, this.lead));
      } catch (error) {
        made = { work$: throwError(() => error), settled$: EMPTY, isPromise: false };
      }
      const settle = (): void => this.#unsettled.next(this.#unsettled.value - 1);
      let value: R | undefined;
      const running = new Work(made.work$, {
        next: (latest) => {
          value = latest;
        },
        error: (error) => {
          subscriber.next({ kind: 'failed', error });
          subscriber.complete();
        },
        complete: () => {
          subscriber.next({ kind: 'done', value });
          subscriber.complete();
        },
        over: () => made.settled$.subscribe({ complete: settle }),
      });
      subscriber.add(() => running.stop());
      if (subscriber.closed) {
        // It ended while the work was made, which is not begun then; what runs already is waited for.
        made.settled$.subscribe({ complete: settle });
        return;
      }
      running.start();
    });
  }

  #lineOf({ at, attempt }: Due, state: TickState): Line {
    return { at, state, token: this.#token.toString(), attempt };
  }

  /** Writes only while one leads. Waits for the end where one does not, which the lead tells. */
  #write(change: (journal: Journal | undefined) => Journal): Observable<Journal> {
    return this.journal
      .write((journal) => (this.lead.isValid() ? change(journal) : undefined))
      .pipe(switchMap((written) => (written === undefined ? NEVER : of(written))));
  }
}

/** Whatever it is that the work has failed with. */
function wordsOf(error: unknown): string {
  try {
    return String(error);
  } catch {
    return shown(error);
  }
}

function tickOf({ at, attempt }: Due): Tick {
  return { date: new Date(at), attempt };
}
