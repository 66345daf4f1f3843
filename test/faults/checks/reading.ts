import type { EventOf, HistoryEvent, Roster } from '../history.js';
import { isKind } from '../history.js';
import { type Interval, union } from '../intervals.js';

/** What a claim says, broken. */
export interface Violation {
  readonly claim:
    | 'exclusion'
    | 'stale work'
    | 'token order'
    | 'fencing'
    | 'ghost'
    | 'gone'
    | 'empty set'
    | 'missing'
    | 'liveness'
    | 'kept'
    | 'tick begun twice'
    | 'late tick'
    | 'lost tick';
  readonly at: bigint;
  readonly message: string;
}

/** One stay in one line. */
interface Holding {
  readonly process: string;
  readonly roster: Roster;
  readonly holding: string;
  /** How many may hold it, this one included. */
  readonly permits: number;
  readonly contendingAt: bigint;
  readonly acquired: { readonly at: bigint; readonly token: bigint } | undefined;
  readonly end: { readonly at: bigint; readonly how: 'lost' | 'released' | 'withdrew' | 'killed' | 'open' };
}

/** A holding that was admitted. */
export interface Held extends Holding {
  readonly acquired: { readonly at: bigint; readonly token: bigint };
}

/** A history, read once for all checks. */
export interface Reading {
  readonly history: readonly HistoryEvent[];
  readonly endAt: bigint;
  readonly holdings: readonly Holding[];
  /** Those that were admitted, by roster, in the order in which they were. */
  readonly held: ReadonlyMap<Roster, readonly Held[]>;
  /** When a process did not run, or its event loop was blocked. */
  readonly stops: (process: string) => readonly Interval[];
  /** When a fault kept the process from the store, or everybody (with no process given). */
  readonly cuts: (process?: string) => readonly Interval[];
  /** When the store forgot everything. */
  readonly losses: readonly Interval[];
  /** When the process was killed or ended by itself, or its last event after it was sent the signal. */
  readonly died: ReadonlyMap<string, bigint>;
}

export function read(history: readonly HistoryEvent[]): Reading {
  const endAt = history.at(-1)?.at ?? 0n;
  const died = deathsOf(history);
  const holdings = holdingsOf(history, died, endAt);
  const stops = stopsOf(history, died, endAt);
  const damages = damagesOf(history, endAt);
  return {
    history,
    endAt,
    holdings,
    held: heldOf(holdings),
    stops: (process) => stops.get(process) ?? [],
    cuts: (process) =>
      damages
        .filter(({ reaches }) => reaches === 'all' || (process !== undefined && reaches.includes(process)))
        .map(({ interval }) => interval),
    losses: damages.filter(({ losesData }) => losesData).map(({ interval }) => interval),
    died,
  };
}

/**
 * A signal takes effect some time after it is sent. What a process did between the two it did while it lived: it died
 * after that, and not later than when its end was seen.
 */
function deathsOf(history: readonly HistoryEvent[]): ReadonlyMap<string, bigint> {
  const died = new Map<string, bigint>();
  const seen = new Map<string, bigint>();
  for (const { process, at, kind } of history.filter(isKind('killed', 'ended'))) {
    if (!died.has(process)) died.set(process, at);
    if (kind === 'ended' && !seen.has(process)) seen.set(process, at);
  }
  for (const event of history) {
    const { process, at } = event;
    const death = died.get(process);
    if (death !== undefined && at > death && at < (seen.get(process) ?? death)) died.set(process, at);
  }
  return died;
}

function holdingsOf(history: readonly HistoryEvent[], died: ReadonlyMap<string, bigint>, endAt: bigint): Holding[] {
  const open = new Map<string, Holding>();
  const done: Holding[] = [];
  for (const event of history) {
    switch (event.kind) {
      case 'contending':
        open.set(event.holding, {
          process: event.process,
          roster: event.roster,
          holding: event.holding,
          permits: event.permits ?? 1,
          contendingAt: event.at,
          acquired: undefined,
          end: { at: endAt, how: 'open' },
        });
        break;
      case 'acquired': {
        const { at, token, process, roster, holding } = event;
        const known = open.get(holding) ?? {
          process,
          roster,
          holding,
          permits: 1,
          contendingAt: at,
          end: { at: endAt, how: 'open' },
        };
        open.set(holding, { ...known, acquired: { at, token } });
        break;
      }
      case 'lost':
      case 'released':
      case 'withdrew': {
        const known = open.get(event.holding);
        if (known !== undefined) done.push({ ...known, end: { at: event.at, how: event.kind } });
        open.delete(event.holding);
        break;
      }
    }
  }
  for (const holding of open.values()) {
    const at = died.get(holding.process);
    done.push(at === undefined ? holding : { ...holding, end: { at, how: 'killed' } });
  }
  return done;
}

function heldOf(holdings: readonly Holding[]): ReadonlyMap<Roster, readonly Held[]> {
  const held = new Map<Roster, Held[]>();
  for (const holding of holdings) {
    if (!isHeld(holding)) continue;
    const roster = held.get(holding.roster);
    if (roster === undefined) held.set(holding.roster, [holding]);
    else roster.push(holding);
  }
  for (const roster of held.values()) roster.sort((a, b) => compare(a.acquired.at, b.acquired.at));
  return held;
}

function isHeld(holding: Holding): holding is Held {
  return holding.acquired !== undefined;
}

function stopsOf(
  history: readonly HistoryEvent[],
  died: ReadonlyMap<string, bigint>,
  endAt: bigint,
): ReadonlyMap<string, readonly Interval[]> {
  const stops = new Map<string, Interval[]>();
  const pausedAt = new Map<string, bigint>();
  const add = (process: string, interval: Interval): void => {
    const known = stops.get(process);
    if (known === undefined) stops.set(process, [interval]);
    else known.push(interval);
  };
  for (const event of history.filter(isKind('paused', 'continued', 'stalled'))) {
    if (event.kind === 'stalled') add(event.process, { from: event.since, to: event.at });
    else if (event.kind === 'paused') pausedAt.set(event.process, event.at);
    else {
      const from = pausedAt.get(event.process);
      if (from !== undefined) add(event.process, { from, to: event.at });
      pausedAt.delete(event.process);
    }
  }
  for (const [process, from] of pausedAt) add(process, { from, to: died.get(process) ?? endAt });
  return new Map([...stops].map(([process, intervals]) => [process, union(intervals)]));
}

interface Damage {
  readonly interval: Interval;
  readonly reaches: 'all' | readonly string[];
  readonly losesData: boolean;
}

function damagesOf(history: readonly HistoryEvent[], endAt: bigint): Damage[] {
  const begun: EventOf<'fault began'>[] = [];
  const damages: Damage[] = [];
  const add = ({ at, reaches, losesData }: EventOf<'fault began'>, to: bigint): void => {
    damages.push({ interval: { from: at, to }, reaches, losesData });
  };
  for (const event of history.filter(isKind('fault began', 'fault ended'))) {
    if (event.kind === 'fault began') {
      begun.push(event);
      continue;
    }
    const index = begun.findIndex(({ fault }) => fault === event.fault);
    const [beginning] = index < 0 ? [] : begun.splice(index, 1);
    if (beginning !== undefined) add(beginning, event.at);
  }
  for (const beginning of begun) add(beginning, endAt);
  return damages;
}

export function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
