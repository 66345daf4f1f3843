/** What happened in a run, as told by the processes that took part, all of which read the machine's monotonic clock. */
export type HistoryEvent = At & Happening;

interface At {
  /** The process that the event is about; one that is started again has another name. */
  readonly process: string;
  /** As of `now` of recorder.ts, the same clock for every process of the machine. */
  readonly at: bigint;
}

/** Names a lock or an election: the two never meet. */
export type Roster = `lock ${string}` | `election ${string}`;

/** `holding` names one stay in one line: from `contending` to the first of `lost`, `released` and `withdrew`. */
interface Stay {
  readonly roster: Roster;
  readonly holding: string;
}

/** As many as there are, as long as none of them wants to hold it alone. */
export const ANY = Number.MAX_SAFE_INTEGER;

type Happening =
  /** `permits`: how many may hold it at once, beside this one and with it; those who read together say `ANY`. Default: 1. */
  | ({ readonly kind: 'contending'; readonly permits?: number } & Stay)
  | ({ readonly kind: 'acquired'; readonly token: bigint } & Stay)
  /** Told by the library. */
  | ({ readonly kind: 'lost' } & Stay)
  /** Stamped before the library is told. */
  | ({ readonly kind: 'released' } & Stay)
  /** Left the line before it was admitted. */
  | ({ readonly kind: 'withdrew' } & Stay)
  /** A guarded work item began: stamped before the library was asked whether it may, logged only if it might. */
  | ({ readonly kind: 'worked'; readonly token: bigint } & Stay)
  /** Told by the resource: it has accepted or refused a write. */
  | {
      readonly kind: 'wrote';
      readonly register: string;
      readonly holding: string;
      readonly token: bigint;
      readonly accepted: boolean;
    }
  /** Asked to be a member: from now on it may be seen. */
  | ({ readonly kind: 'joining' } & Membership)
  | ({ readonly kind: 'joined'; readonly token: bigint } & Membership)
  /** Told by the library. */
  | ({ readonly kind: 'dropped' } & Membership)
  /** Stamped before the library is told. */
  | ({ readonly kind: 'left' } & Membership)
  /** A watcher was given this set. */
  | { readonly kind: 'saw'; readonly group: string; readonly members: readonly string[] }
  /** The watcher looks no longer. */
  | { readonly kind: 'unwatched'; readonly group: string }
  /** Takes part in a schedule. */
  | {
      readonly kind: 'scheduled';
      readonly schedule: string;
      readonly everyMs: number;
      /** A tick whose runner died is begun again. */
      readonly isRepeated: boolean;
    }
  /** The work of a tick begins. */
  | {
      readonly kind: 'tick began';
      readonly schedule: string;
      readonly tick: number;
      readonly token: bigint;
    }
  | { readonly kind: 'tick ended'; readonly schedule: string; readonly tick: number }
  /** The process did not run, or its event loop was blocked, from `since` to `at`. */
  | { readonly kind: 'stalled'; readonly since: bigint }
  | { readonly kind: 'started' }
  /** Stamped before the signal is sent. */
  | { readonly kind: 'killed' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'paused' }
  | { readonly kind: 'continued' }
  | ({ readonly kind: 'fault began' } & Damage)
  | ({ readonly kind: 'fault ended' } & Damage)
  /** For whoever reads the history; nothing is concluded from it. */
  | { readonly kind: 'note'; readonly text: string };

interface Membership {
  readonly group: string;
  readonly member: string;
}

interface Damage {
  readonly fault: string;
  /** Whom it keeps from the store. */
  readonly reaches: 'all' | readonly string[];
  /** The store forgets everything. */
  readonly losesData: boolean;
}

export type Kind = Happening['kind'];
export type EventOf<K extends Kind> = Extract<HistoryEvent, { readonly kind: K }>;
/** The events of a kind, without what is common to all. */
export type Told = Happening;

/** Fields that are `bigint` in an event, and text in a log. */
const integers: ReadonlySet<string> = new Set(['at', 'token', 'since']);

/** One line of a log. */
export function encodeEvent(event: HistoryEvent): string {
  return JSON.stringify(event, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value));
}

/** The events of a log. A process that was killed while it wrote may have left its last line unfinished. */
export function decodeLog(text: string): HistoryEvent[] {
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map(
      (line) =>
        JSON.parse(line, (name, value: unknown) =>
          integers.has(name) && typeof value === 'string' ? BigInt(value) : value,
        ) as HistoryEvent,
    );
}

/** Several logs as one, in the order of the clock. What one process did at the same instant stays in its order. */
export function merge(histories: Iterable<readonly HistoryEvent[]>): HistoryEvent[] {
  return [...histories].flat().sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

export function isKind<K extends Kind>(...kinds: readonly K[]): (event: HistoryEvent) => event is EventOf<K> {
  const wanted: ReadonlySet<string> = new Set(kinds);
  return (event): event is EventOf<K> => wanted.has(event.kind);
}
