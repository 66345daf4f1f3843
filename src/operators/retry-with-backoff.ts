import {
  asyncScheduler,
  defer,
  type MonoTypeOperatorFunction,
  retry,
  type SchedulerLike,
  tap,
  throwError,
  timer,
} from 'rxjs';
import { canHeal, InvalidOptions } from '../backends/errors.js';
import {
  type Expectation,
  FUNCTION,
  number,
  objectWith,
  unknownIn,
  violationsOf,
} from '../backends/shared/expectations.js';

/** Options of `retryWithBackoff`. */
export interface RetryOptions {
  /** How often to subscribe in all. Default: without limit. */
  readonly tries?: number;
  /** The first pause. Each further one is twice as long. Default 100. */
  readonly delayMs?: number;
  /** The longest pause. Default 60,000. */
  readonly maxDelayMs?: number;
  /** Which part of each pause is left to chance, from 0 to 1: a pause lasts between `1 - jitter` of it and all. Default 0.5. */
  readonly jitter?: number;
  /** Give up rather than try later than this after the first failure. Default: without limit. */
  readonly deadlineMs?: number;
  /** Which errors to try again after. Default: `canHeal`, all but those of which trying again makes nothing better. */
  readonly when?: (error: unknown) => boolean;
  /** Where time comes from. Default: RxJS's `asyncScheduler`, so that a clock that is set moves `deadlineMs`, not the pauses. */
  readonly scheduler?: SchedulerLike;
  /** Uniform in [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
}

const LONGEST_MS = 2 ** 31 - 1;

const [, isNumber] = number(1, Number.POSITIVE_INFINITY);

const TRIES: Expectation = [
  'an integer of at least 1, or Infinity',
  (value) => isNumber(value) && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY),
];

const FIELDS: Readonly<Record<string, Expectation>> = {
  tries: TRIES,
  delayMs: number(0, LONGEST_MS),
  maxDelayMs: number(0, LONGEST_MS),
  jitter: number(0, 1),
  deadlineMs: number(0, Number.POSITIVE_INFINITY),
  when: FUNCTION,
  scheduler: objectWith('now', 'schedule'),
  random: FUNCTION,
};

/**
 * Subscribes to the source again after an error, with exponential back-off and jitter.
 *
 *     source   -a-#
 *     source         -a-#
 *     output   -a-----a------…
 *
 * **Emits** what the source emits. An item ends a series of failures: tries, pauses and deadline start anew.
 * **Errors** the source's last error, when `tries` or `deadlineMs` are used up or `when` refuses it, which by default is at
 * once after an error that cannot heal: `BackendClosed`, `AuthenticationFailed`, `PermissionDenied`, `InvalidPayload`…;
 * `InvalidOptions` (thrown at the call, names every violated relation).
 * **Completes** when the source completes.
 * **Teardown** that of the source; ends a pause.
 * **Guarantee** no pause is longer than `maxDelayMs`.
 * **Source** kazoo `KazooRetry`.
 *
 * @example
 * lock(backend, 'invoice-42', { waitMs: 1_000 }).pipe(retryWithBackoff({ tries: 5 })).subscribe();
 */
export function retryWithBackoff<T>(options: RetryOptions = {}): MonoTypeOperatorFunction<T> {
  const violations = [...violationsOf(options, FIELDS), ...unknownIn(options, FIELDS)];
  if (violations.length > 0) throw new InvalidOptions(violations);
  const { tries = Number.POSITIVE_INFINITY, delayMs = 100, maxDelayMs = 60_000, jitter = 0.5 } = options;
  const {
    deadlineMs = Number.POSITIVE_INFINITY,
    when = canHeal,
    scheduler = asyncScheduler,
    random = Math.random,
  } = options;
  if (maxDelayMs < delayMs)
    throw new InvalidOptions([`maxDelayMs (${maxDelayMs}) must not be less than delayMs (${delayMs})`]);

  return (source) =>
    defer(() => {
      let failures = 0;
      let firstFailureMs = 0;
      return source.pipe(
        tap(() => {
          failures = 0;
        }),
        retry({
          delay: (error) => {
            const nowMs = scheduler.now();
            if (failures === 0) firstFailureMs = nowMs;
            const pauseMs = Math.min(maxDelayMs, delayMs * 2 ** Math.min(failures, 30)) * (1 - jitter * random());
            failures++;
            const isOver = failures >= tries || nowMs + pauseMs - firstFailureMs > deadlineMs || !when(error);
            return isOver ? throwError(() => error) : timer(pauseMs, scheduler);
          },
        }),
      );
    });
}
