import { asyncScheduler, Observable, of, type SchedulerLike } from 'rxjs';
import { LockLost, Released } from '../backends/errors.js';
import type { Grant } from '../observables/holding/grant.js';
import { parseMarbles } from './marble-text.js';

/** Options of scripted primitives. */
export interface ScriptOptions {
  /**
   * Where time comes from. Default: RxJS's own, which is virtual within `marbles`, `TestScheduler.run` and `simulate`,
   * and real everywhere else.
   */
  readonly scheduler?: SchedulerLike;
  /** What `#` stands for. */
  readonly error?: unknown;
}

/** Options of `grantOf`. */
export interface GrantScriptOptions extends ScriptOptions {
  /** The lock's name. Default `'lock'`. */
  readonly name?: string;
  /** The token of the first grant; each later one has the next. Default 1. */
  readonly token?: bigint;
}

/**
 * A leadership that goes by a script: for code that takes an `Observable<boolean>`, without any store.
 *
 *     script   f--t---f|       f: follows   t: leads   #: error   |: completes
 *
 * Cold: each subscription begins the script anew. What stands first is emitted on subscribe, as by `leadership`. A
 * character is 1 ms, `500ms`, `5s` and `2m` between blanks are time that goes by.
 *
 * **Errors** where the script says `#`. `Error`, thrown at the call, for other symbols.
 * **Completes** where the script says `|`; otherwise never.
 * **Teardown** stops.
 * **Guarantee** of its items only: there is no session behind it, so nobody asks the clock.
 * **Source** RxJS `cold`, which needs a `TestScheduler`.
 *
 * @example
 * ticks$.pipe(whileLeader(leadershipOf('f 1s t 5s f'))).subscribe(post);
 */
export function leadershipOf(script: string, options: ScriptOptions = {}): Observable<boolean> {
  const values: Readonly<Record<string, boolean>> = { f: false, t: true };
  checkScript(script, values);
  return scripted(script, (symbol) => giveOf(script, values, symbol), options);
}

/**
 * Members that go by a script: for code that takes what `members` gives. A symbol stands for the set given for it.
 *
 *     script   a-b-c     { a: [], b: ['w1'], c: ['w1', 'w2'] }
 *
 * As `leadershipOf` in everything else.
 *
 * @example
 * membersOf('a 1s b', { a: ['w1'], b: ['w1', 'w2'] }).subscribe((ids) => rebalance(ids));
 */
export function membersOf(
  script: string,
  sets: Readonly<Record<string, Iterable<string>>>,
  options: ScriptOptions = {},
): Observable<ReadonlySet<string>> {
  checkScript(script, sets);
  return scripted(script, (symbol) => new Set(giveOf(script, sets, symbol)), options);
}

/**
 * A lock that goes by a script: for code that takes what `lock` gives.
 *
 *     script   --g----#     g: acquired   #: lost, with LockLost unless another error is given   |: completes
 *
 * A grant is valid, and its signal has not aborted, until the script goes on or one unsubscribes. No backend drains here. As `leadershipOf` in
 * everything else.
 *
 * @example
 * ticks$.pipe(whileLocked(grantOf('--g 5s #'))).subscribe(post);
 */
export function grantOf(script: string, options: GrantScriptOptions = {}): Observable<Grant> {
  const { name = 'lock', token: first = 1n } = options;
  checkScript(script, { g: true });
  return new Observable<Grant>((subscriber) => {
    let token = first - 1n;
    let held = new AbortController();
    const draining = new AbortController();
    const end = (reason: unknown = new Released(`lock ${JSON.stringify(name)}`)): void => held.abort(reason);
    const give = (): Grant => {
      end();
      const mine = new AbortController();
      held = mine;
      token++;
      const { signal } = mine;
      return {
        name,
        token,
        id: `${name}-${token}`,
        isValid: () => !signal.aborted,
        signal,
        draining: draining.signal,
        release: () => {
          const wasHeld = !signal.aborted;
          subscriber.complete();
          return of(wasHeld);
        },
      };
    };
    subscriber.add(() => end());
    const lost = (): unknown => {
      const loss = options.error ?? new LockLost(name, token, 'session lost');
      end(loss);
      return loss;
    };
    subscriber.add(scripted(script, give, options, lost).subscribe(subscriber));
  });
}

function giveOf<T>(script: string, values: Readonly<Record<string, T>>, symbol: string): T {
  const value = Object.hasOwn(values, symbol) ? values[symbol] : undefined;
  if (value !== undefined) return value;
  throw new Error(`The script '${script}' has '${symbol}'; it may have ${Object.keys(values).join(', ')}, | and #.`);
}

function checkScript(script: string, values: Readonly<Record<string, unknown>>): void {
  for (const { symbol } of parseMarbles(script)) if (symbol !== '|' && symbol !== '#') giveOf(script, values, symbol);
}

function scripted<T>(
  script: string,
  give: (symbol: string) => T,
  { scheduler = asyncScheduler, error = new Error(`The script '${script}' has come to its error.`) }: ScriptOptions,
  errorOf: () => unknown = () => error,
): Observable<T> {
  const marbles = parseMarbles(script);
  return new Observable<T>((subscriber) => {
    for (const { atMs, symbol } of marbles) {
      const act = (): void => {
        if (symbol === '|') subscriber.complete();
        else if (symbol === '#') subscriber.error(errorOf());
        else subscriber.next(give(symbol));
      };
      if (atMs === 0) act();
      else subscriber.add(scheduler.schedule(act, atMs));
    }
  });
}
