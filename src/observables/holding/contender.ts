import { defer, map, type Observable, type OperatorFunction } from 'rxjs';
import type { Backend, Entry, Mode, RosterKey } from '../../backends/backend.js';
import { UndecodablePayload } from '../../backends/errors.js';
import { sameBytes } from '../../backends/shared/codec.js';
import { none, type Option, some } from '../../backends/shared/option.js';
import { opened } from './envelope.js';

/** Somebody who stands in line for a lock or in an election. */
export interface Contender {
  /** Made by the store; the `id` of its holder's `Grant`. */
  readonly id: string;
  readonly token: bigint;
  readonly mode: Mode;
  /** What the contender gave as `data`; `none` if it gave nothing, or another client wrote what the codec cannot read: see `toUndefined`. */
  readonly data: Option<unknown>;
  /** As it was given to `campaign`, if it was. */
  readonly priority?: number;
  /** The `id` that was given to `campaign`, if it was: the same in each of its entries. */
  readonly identity?: string;
}

/** Everybody in line, in order, with what they gave as data; or those `among` them. */
export function contenders(
  backend: Backend,
  roster: RosterKey,
  among: Among = (line) => line,
): Observable<readonly Contender[]> {
  return backend.entries(roster).pipe(toContenders(backend, roster, among));
}

/** The same, once. */
export function lookAtContenders(backend: Backend, roster: RosterKey, among: Among): Observable<readonly Contender[]> {
  return backend.look(roster).pipe(toContenders(backend, roster, among));
}

/** Some of those who stand in a line. */
type Among = (line: readonly Entry[]) => readonly Entry[];

function toContenders(
  backend: Backend,
  roster: RosterKey,
  among: Among,
): OperatorFunction<readonly Entry[], readonly Contender[]> {
  const subject = `${roster.kind} ${JSON.stringify(roster.name)}`;
  return (entries$) =>
    entries$.pipe(
      map(among),
      decoded(backend, subject, (value) => value),
      map((entries) =>
        entries.map(({ entry: { id, token, mode, payload }, value }) => ({
          id,
          token,
          mode,
          data: value._tag === 'Some' && value.value !== undefined ? value : none,
          ...shownOf(payload),
        })),
      ),
    );
}

function shownOf(payload: Uint8Array): Pick<Contender, 'priority' | 'identity'> {
  const { priority, identity } = opened(payload).header;
  return { ...(priority !== undefined && { priority }), ...(identity !== undefined && { identity }) };
}

/** Of those who stand in a line, in its order, those who are admitted: before each, fewer who conflict with it than its permits. */
export function admittedIn<T extends Pick<Entry, 'mode' | 'permits'>>(line: readonly T[]): readonly T[] {
  let exclusives = 0;
  return line.filter(({ mode, permits }, before) => {
    const ahead = mode === 'exclusive' ? before : exclusives;
    if (mode === 'exclusive') exclusives++;
    return ahead < permits;
  });
}

/** Whether the same contenders stand there, with the same data. */
export function sameContenders(a: readonly Contender[], b: readonly Contender[]): boolean {
  return a.length === b.length && a.every((one, i) => sameContender(one, b[i]));
}

/** Data is decoded once for each write, so the same write gives the same value. */
export function sameContender(a: Contender, b: Contender | undefined): boolean {
  if (b === undefined || a.id !== b.id || a.token !== b.token || a.mode !== b.mode) return false;
  if (a.priority !== b.priority || a.identity !== b.identity) return false;
  return a.data._tag === 'Some' ? b.data._tag === 'Some' && a.data.value === b.data.value : b.data._tag === 'None';
}

/** An entry and what its payload says; `none` where it cannot be read. */
interface DecodedEntry<T> {
  readonly entry: Entry;
  readonly value: Option<T>;
}

/** Decodes each payload once, and reports each that cannot be read once. `read` may throw, as the codec may. */
export function decoded<T>(
  backend: Backend,
  subject: string,
  read: (value: unknown) => T,
): OperatorFunction<readonly Entry[], readonly DecodedEntry<T>[]> {
  const decode = (entry: Entry): Option<T> => {
    try {
      return some(read(backend.codec.decode(opened(entry.payload).payload)));
    } catch (cause) {
      backend.reportFault(new UndecodablePayload(`entry ${entry.id} of ${subject}`, cause));
      return none;
    }
  };
  return (entries$) =>
    defer(() => {
      let known = new Map<string, DecodedEntry<T>>();
      return entries$.pipe(
        map((entries) => {
          const next = entries.map((entry) => {
            const before = known.get(entry.id);
            const isKnown = before !== undefined && sameBytes(before.entry.payload, entry.payload);
            return { entry, value: isKnown ? before.value : decode(entry) };
          });
          known = new Map(next.map((one) => [one.entry.id, one]));
          return next;
        }),
      );
    });
}
