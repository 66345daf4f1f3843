import { asapScheduler, type SchedulerLike } from 'rxjs';
import type { Codec } from '../backend.js';
import { InvalidOptions } from '../errors.js';
import { type Either, left, right } from './either.js';
import { type Expectation, number, objectWith, oneOf, TEXT, violationsOf } from './expectations.js';

/** Options that every backend takes. */
export interface BackendOptions {
  /** Lifetime of a session that is not renewed. Default 10,000. */
  readonly ttlMs?: number | undefined;
  /** From one renewal to the next. Default `ttlMs / 5`. */
  readonly renewEveryMs?: number | undefined;
  /** Safety margin before the store's own expiry, for late timers. Default `ttlMs / 20`. */
  readonly guardMs?: number | undefined;
  /** How much the clocks of client and store may differ in rate. Default 0.01. */
  readonly drift?: number | undefined;
  /** How long one request may go unanswered before it counts as lost. Default `ttlMs * 3 / 10`. */
  readonly requestTimeoutMs?: number | undefined;
  /** First pause before connecting again; doubles, with jitter, up to `maxBackoffMs`. Default 100. */
  readonly initialBackoffMs?: number | undefined;
  /** Longest pause before connecting again. Default 5,000. */
  readonly maxBackoffMs?: number | undefined;
  /** Error instead of retrying when the first session is not open after this long. Default: never. */
  readonly failFastMs?: number | undefined;
  /** Longest that `close()` waits for the store. Default 5,000. */
  readonly closeTimeoutMs?: number | undefined;
  /** Give up what is held at the deadline (default), or as soon as the connection is in doubt. */
  readonly giveUpAt?: 'deadline' | 'suspended' | undefined;
  /**
   * Added to every token, from 0n to 2n ** 62n. Default 0n. For a fleet that moves to another store, whose tokens begin
   * anew: greater than every token of the old one. The same for all who share a name.
   */
  readonly tokenBase?: bigint | undefined;
  /** Keeps fleets that share a store apart. Each backend says what its default is. */
  readonly namespace?: string | undefined;
  /** Turns payloads into bytes and back. Default: JSON. */
  readonly codec?: Codec | undefined;
  /** Where time comes from. Default: the monotonic clock of the process. RxJS's `asyncScheduler` goes by the time of day, and is refused. */
  readonly scheduler?: SchedulerLike | undefined;
}

/** The times of a session, validated together. */
export interface Timing {
  readonly ttlMs: number;
  readonly renewEveryMs: number;
  readonly guardMs: number;
  readonly drift: number;
  readonly requestTimeoutMs: number;
  readonly initialBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly failFastMs: number | undefined;
  readonly closeTimeoutMs: number;
  readonly giveUpAt: 'deadline' | 'suspended';
}

/** Longest delay a timer of the platform carries. */
const MAX_MS = 2 ** 31 - 1;

/**
 * The pause before an adapter connects again, with jitter. A session lives meanwhile, so none may outlast what is left of
 * it when the store is back.
 */
export function reconnectMs(timing: Timing, attempt: number): number {
  const { initialBackoffMs, maxBackoffMs, renewEveryMs } = timing;
  const longest = Math.min(maxBackoffMs, Math.max(initialBackoffMs, renewEveryMs / 2));
  return Math.min(longest, initialBackoffMs * 2 ** Math.min(attempt, 30)) * (0.5 + Math.random() / 2);
}

/** How long after its proof a session of lifetime `ttlMs` may be relied on. */
export function reliableMs(timing: Pick<Timing, 'drift' | 'guardMs'>, ttlMs: number): number {
  return ttlMs * (1 - timing.drift) - timing.guardMs;
}

const MILLISECONDS = number(1, MAX_MS);

const TIMES: Readonly<Record<string, Expectation>> = {
  ttlMs: MILLISECONDS,
  renewEveryMs: MILLISECONDS,
  guardMs: number(0, MAX_MS),
  drift: number(0, 0.5),
  requestTimeoutMs: MILLISECONDS,
  initialBackoffMs: MILLISECONDS,
  maxBackoffMs: MILLISECONDS,
  failFastMs: MILLISECONDS,
  closeTimeoutMs: MILLISECONDS,
};

/** What `now` of RxJS's own schedulers is, except for the virtual ones: the time of day. A test kit may replace that of one. */
const timeOfDay = asapScheduler.now;

const [, isScheduler] = objectWith('now', 'schedule');

/** Where time may come from. A time of day that is set would move deadlines. */
const CLOCK: Expectation = [
  "an object with the methods now and schedule whose time is monotonic or virtual, and not one of RxJS's schedulers that go by the time of day (leave it out for the monotonic clock of the process)",
  (value) => isScheduler(value) && (value as SchedulerLike).now !== timeOfDay,
];

/** A database keeps tokens in 64 bits with a sign. */
const TOKEN_BASE: Expectation = [
  'a bigint from 0n to 2n ** 62n',
  (value) => typeof value === 'bigint' && value >= 0n && value <= 2n ** 62n,
];

/** What the options of every backend must be. */
export const COMMON: Readonly<Record<string, Expectation>> = {
  ...TIMES,
  giveUpAt: oneOf('deadline', 'suspended'),
  tokenBase: TOKEN_BASE,
  namespace: TEXT,
  codec: objectWith('encode', 'decode'),
  scheduler: CLOCK,
};

/** Fills in defaults and checks every relation; the left side names each one violated. */
export function timingOf(options: BackendOptions): Either<InvalidOptions, Timing> {
  const mistyped = violationsOf(options, COMMON);
  if (mistyped.length > 0) return left(new InvalidOptions(mistyped));
  const ttlMs = options.ttlMs ?? 10_000;
  const initialBackoffMs = options.initialBackoffMs ?? 100;
  const timing: Timing = {
    ttlMs,
    renewEveryMs: options.renewEveryMs ?? ttlMs / 5,
    guardMs: options.guardMs ?? ttlMs / 20,
    drift: options.drift ?? 0.01,
    requestTimeoutMs: options.requestTimeoutMs ?? (ttlMs * 3) / 10,
    initialBackoffMs,
    maxBackoffMs: options.maxBackoffMs ?? Math.max(5_000, initialBackoffMs),
    failFastMs: options.failFastMs,
    closeTimeoutMs: options.closeTimeoutMs ?? 5_000,
    giveUpAt: options.giveUpAt ?? 'deadline',
  };
  const violations = violationsOf(timing, TIMES);
  if (violations.length === 0) {
    if (timing.maxBackoffMs < initialBackoffMs)
      violations.push(
        `maxBackoffMs (${timing.maxBackoffMs}) must not be less than initialBackoffMs (${initialBackoffMs})`,
      );
    const reliable = reliableMs(timing, ttlMs);
    if (timing.renewEveryMs + timing.requestTimeoutMs >= reliable)
      violations.push(
        `renewEveryMs (${timing.renewEveryMs}) + requestTimeoutMs (${timing.requestTimeoutMs}) must be less than ` +
          `ttlMs * (1 - drift) - guardMs (${reliable}), or one slow renewal loses the session`,
      );
  }
  return violations.length === 0 ? right(timing) : left(new InvalidOptions(violations));
}
