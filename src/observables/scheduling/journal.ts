import { catchError, defer, map, type Observable, of, switchMap, take, throwError } from 'rxjs';
import type { Backend, Versioned } from '../../backends/backend.js';
import { type OutcomeUnknown, UndecodablePayload } from '../../backends/errors.js';
import { sameBytes } from '../../backends/shared/codec.js';
import { isError } from '../../backends/shared/is-error.js';
import { checkName } from '../../backends/shared/keys.js';
import { fromUtf8, toUtf8 } from '../../backends/shared/utf8.js';

/** What became of a tick. While it is `claimed` its work runs, or its runner has died and nobody has found that out yet. */
export type TickState = 'claimed' | 'done' | 'failed' | 'skipped' | 'missed';

/** A tick as it stands in the journal. Times are ms since 1970. */
export interface Line {
  readonly at: number;
  readonly state: TickState;
  /** Of the leader that claimed it last. */
  readonly token: string;
  /** How often it was claimed. */
  readonly attempt: number;
  /** Where all ticks after that one, up to this one, have the same state. */
  readonly after?: number | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** Why it failed, in words. */
  readonly error?: string | undefined;
  /** By which of the claims that know no leader: each has another one. */
  readonly by?: string | undefined;
}

/** What a schedule keeps in its cell. */
export interface Journal {
  /** Up to here every tick was claimed, skipped or missed. None is claimed for the first time again. */
  readonly handled: number;
  /** The last ones, in the order of their dates, and all that are claimed. */
  readonly lines: readonly Line[];
}

const KEPT = 20;
const LONGEST_ERROR = 200;
const LAST_DATE_MS = 8.64e15;
const STATES: readonly unknown[] = ['claimed', 'done', 'failed', 'skipped', 'missed'] satisfies readonly TickState[];

/** The election of a schedule, and its cell. Throws `InvalidName` where the two would be none. */
export function keyOf(name: string): string {
  return checkName(`schedule ${checkName(name)}`);
}

/** The journal with that line in place of an earlier one of the same tick. */
export function withLine(journal: Journal, line: Line): Journal {
  const { error } = line;
  const short = error === undefined ? line : { ...line, error: [...error].slice(0, LONGEST_ERROR).join('') };
  const lines = [...journal.lines.filter(({ at }) => at !== line.at), short].sort((a, b) => a.at - b.at);
  const surplus = lines.length - KEPT;
  return {
    handled: Math.max(journal.handled, line.at),
    lines: lines.filter(({ state }, i) => i >= surplus || state === 'claimed'),
  };
}

/** A write of which nobody knows whether the store has it. */
interface Doubt {
  readonly value: Uint8Array;
  readonly after: Journal;
}

/** The cell of a schedule, which knows what it held last: a write costs one request where nobody else writes. */
export class JournalCell {
  /** `undefined`: not known. */
  #known: { readonly cell: Versioned | undefined } | undefined;

  constructor(
    private readonly backend: Backend,
    private readonly name: string,
    private readonly key: string,
  ) {}

  /** The journal now and after each change; `undefined` where there is none. */
  get journal$(): Observable<Journal | undefined> {
    return this.backend.cell(this.key).pipe(map((cell) => this.#read(cell)));
  }

  /**
   * Writes what `change` makes of the journal, as often as others write in between; emits what `change` gave last, once the
   * store has it. Nothing is written where that is the same journal, or `undefined`.
   */
  write(change: (journal: Journal | undefined) => Journal | undefined): Observable<Journal | undefined> {
    return this.#write(change, []);
  }

  #write(
    change: (journal: Journal | undefined) => Journal | undefined,
    doubts: readonly Doubt[],
  ): Observable<Journal | undefined> {
    return this.#cell().pipe(
      switchMap((cell) => {
        // Nobody else writes the same: so it is there, and what has come of it is no news to be found out.
        const found = doubts.find((doubt) => cell !== undefined && sameBytes(doubt.value, cell.value));
        if (found !== undefined) {
          this.#known = { cell };
          return of(found.after);
        }
        const before = this.#read(cell);
        const after = change(before);
        if (after === undefined || after === before) return of(after);
        const value = toUtf8(JSON.stringify(after));
        return this.backend.swap(this.key, cell?.version ?? 'absent', value).pipe(
          switchMap(({ swapped, current }) => {
            this.#known = { cell: current };
            return swapped ? of(after) : this.#write(change, doubts);
          }),
          catchError((error) => {
            if (!isError<OutcomeUnknown>(error, 'OutcomeUnknown')) return throwError(() => error);
            // What the cell holds tells: it itself, or what others have made of it, where `change` finds its own line.
            this.#known = undefined;
            return this.#write(change, [...doubts, { value, after }]);
          }),
        );
      }),
    );
  }

  #cell(): Observable<Versioned | undefined> {
    return defer(() => (this.#known === undefined ? this.backend.cell(this.key).pipe(take(1)) : of(this.#known.cell)));
  }

  /** What somebody else wrote there is no journal: it is reported, and written over. */
  #read(cell: Versioned | undefined): Journal | undefined {
    if (cell === undefined) return undefined;
    try {
      return journalOf(JSON.parse(fromUtf8(cell.value)));
    } catch (error) {
      this.backend.reportFault(new UndecodablePayload(`schedule ${JSON.stringify(this.name)}`, error));
      return undefined;
    }
  }
}

/** Throws where it is none. */
function journalOf(value: unknown): Journal {
  if (typeof value !== 'object' || value === null) throw new TypeError('it is no journal');
  const { handled, lines }: { handled?: unknown; lines?: unknown } = value;
  if (!isTime(handled) || !Array.isArray(lines) || !lines.every(isLine)) throw new TypeError('it is no journal');
  return { handled, lines };
}

/** What a date can be made of. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= LAST_DATE_MS;
}

function isLine(value: unknown): value is Line {
  if (typeof value !== 'object' || value === null) return false;
  const { at, state, token, attempt, after, from, to, error, by }: { [field in keyof Line]?: unknown } = value;
  return (
    isTime(at) &&
    STATES.includes(state) &&
    typeof token === 'string' &&
    /^\d+$/.test(token) &&
    Number.isSafeInteger(attempt) &&
    [after, from, to].every((time) => time === undefined || isTime(time)) &&
    [error, by].every((text) => text === undefined || typeof text === 'string')
  );
}
