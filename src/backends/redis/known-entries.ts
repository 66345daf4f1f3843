import type { Entry } from '../backend.js';
import type { Known } from './watch.js';

/** In which further changes of a roster are told together, and how many entries make that a millisecond longer. */
const PAUSE_MS = 10;
const ENTRIES_PER_MS = 200;

/** A change as scripts publish it. `before`: how many changes the data had at the one before, in this roster. */
interface Change {
  readonly dataId: string;
  readonly count: number;
  readonly before: string;
  /** What was taken out, by its id, and what stands, with token and payload. */
  readonly list: readonly unknown[];
  /** How many stand, where that is known. */
  readonly size: number | undefined;
}

/** An entry of what the server says of it; none for what is not ours. */
export type EntryOf = (id: string, token: string, payload: Uint8Array) => readonly Entry[];

/** Who stands in a roster: as it was read, and what was heard of since. */
export class KnownEntries implements Known<readonly Entry[]> {
  readonly #entries: Map<string, Entry>;

  constructor(
    /** The name of the data, and how many changes it had. */
    readonly dataId: string,
    private count: number,
    entries: readonly Entry[],
    private readonly entryOf: EntryOf,
  ) {
    this.#entries = new Map(entries.map((entry) => [entry.id, entry]));
  }

  get value(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  get pauseMs(): number {
    return PAUSE_MS + this.#entries.size / ENTRIES_PER_MS;
  }

  /** Not what other data says, nor what says nothing, nor after one that was not heard. */
  follow(message: string): boolean | undefined {
    const change = changeOf(message);
    if (change?.dataId !== this.dataId) return undefined;
    const { count, before, list, size } = change;
    if (size !== undefined && size !== this.#entries.size) return undefined;
    if (count <= this.count) return false;
    if (before === 'none') this.#entries.clear();
    else if (before === '' ? this.#entries.size > 0 : !(Number(before) <= this.count)) return undefined;
    else if (!list.every((each) => this.#take(each))) return undefined;
    this.count = count;
    return true;
  }

  /** Whether it could be said what becomes of it. Who enters has a higher token than all who stand. */
  #take(each: unknown): boolean {
    const [id, token, payload] = Array.isArray(each) ? each : [];
    if (typeof id !== 'string') return false;
    if (typeof token !== 'string' || typeof payload !== 'string') return this.#entries.delete(id) || true;
    for (const entry of this.entryOf(id, token, new TextEncoder().encode(payload))) this.#entries.set(id, entry);
    return true;
  }
}

/** That nothing has changed since the data had so many changes, and so many stand. */
export function unchanged(dataId: string, count: string, size: number): string {
  return JSON.stringify([dataId, count, count, [], size]);
}

/** Nothing where others have published something else, or bytes that are no text have been lost on the way. */
function changeOf(message: string): Change | undefined {
  if (!message.startsWith('[') || message.includes('\uFFFD')) return undefined;
  try {
    const [dataId, count, before, list, size] = JSON.parse(message);
    return Array.isArray(list) ? { dataId, count: Number(count), before: String(before), list, size } : undefined;
  } catch {
    return undefined;
  }
}
