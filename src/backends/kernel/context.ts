import type { ClockLike } from '../backend.js';
import type { CoordinationError, StoreLocation } from '../errors.js';
import type { Timing } from '../shared/options.js';
import type { Environment } from './environment.js';

/** What the kernel's parts share. */
export interface KernelContext extends Pick<Environment, 'random' | 'newIds' | 'onDueCheck'> {
  readonly timing: Timing;
  readonly clock: ClockLike;
  /** For messages: by its name alone until the adapter is there. */
  readonly store: string | StoreLocation;
  report(fault: CoordinationError): void;
}

/** Exponential back-off with jitter: between half of the pause and all of it. */
export function backoffMs({ timing, random }: KernelContext, attempt: number): number {
  const pause = Math.min(timing.maxBackoffMs, timing.initialBackoffMs * 2 ** Math.min(attempt, 30));
  return pause * (0.5 + random() / 2);
}
