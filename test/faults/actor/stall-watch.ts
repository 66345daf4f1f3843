import { msToNs } from '../intervals.js';
import type { Recorder } from '../recorder.js';
import { now } from '../recorder.js';

const tickMs = 20;
/** A process that is given no time for so long did not run. Less than what the library allows for late timers. */
const leastStall = msToNs(60);

/** Tells when this process did not run, or its event loop was blocked: its own timer came late. */
export function watchStalls(recorder: () => Recorder | undefined): void {
  let last = now();
  setInterval(() => {
    const since = last;
    last = now();
    if (last - since < leastStall) return;
    // Whatever else is due comes to its turn first.
    setImmediate(() => {
      last = now();
      recorder()?.tell({ kind: 'stalled', since }, last);
    });
  }, tickMs);
}
