import type { MarbleValues, Recording } from 'conclave/testing';
import { expect } from 'vitest';
import { shown } from '../backends/shared/expectations.js';
import { happeningsOf, mismatchOf } from './recording.js';

interface MarbleMatchers<R = unknown> {
  /** A recording, made by `record`, shows exactly these marbles. Where not, both diagrams are printed. */
  toShowMarbles(marbles: string, values?: MarbleValues, error?: unknown): R;
}

declare module 'vitest' {
  interface Matchers<T> extends MarbleMatchers<T> {}
}

expect.extend({
  toShowMarbles(recording: Recording, marbles: string, values?: MarbleValues, error?: unknown) {
    if (!Array.isArray(recording?.happenings))
      throw new TypeError(`toShowMarbles is for what record() has returned, not for ${shown(recording)}.`);
    const mismatch = mismatchOf(happeningsOf(marbles, values, error), recording.happenings, values);
    return {
      pass: mismatch === undefined,
      message: () => mismatch?.message ?? `The recording shows ${marbles}, which it should not.`,
    };
  },
});
