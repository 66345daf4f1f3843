import type { Roster } from '../history.js';
import { msToNs, nsToMs, overlap, total } from '../intervals.js';
import type { Reading, Violation } from './reading.js';

/** What nobody may lose, because the store could be reached in time. */
export interface Kept {
  readonly rosters: readonly Roster[];
  /** For so long it is kept without being renewed. */
  readonly ttlMs: number;
}

/** Nobody loses these but who did not run for most of the time in which it should have been renewed. */
export function checkKept({ held, stops }: Reading, { rosters, ttlMs }: Kept): Violation[] {
  const lost = rosters
    .flatMap((roster) => held.get(roster) ?? [])
    .filter(({ process, end }) => {
      const before = { from: end.at - msToNs(ttlMs), to: end.at };
      const stopped = stops(process).flatMap((stop) => overlap(stop, before) ?? []);
      return end.how === 'lost' && total(stopped) < msToNs(ttlMs) / 2n;
    });
  return lost.map(({ roster, process, acquired, end }) => ({
    claim: 'kept',
    at: end.at,
    message: `${roster}: ${process} lost it ${nsToMs(end.at - acquired.at)} ms after it had acquired it, though it could be kept`,
  }));
}
