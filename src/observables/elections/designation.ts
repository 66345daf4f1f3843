import { catchError, EMPTY, ignoreElements, map, type Observable, of } from 'rxjs';
import type { Backend, Entry } from '../../backends/backend.js';
import type { BackendClosed, CoordinationError } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { MAX_NAME_BYTES } from '../../backends/shared/keys.js';
import { fromUtf8, toUtf8 } from '../../backends/shared/utf8.js';

/** Whom `handOver` has named: an entry that counts as the best of its line while it stands there. */
export interface Designation {
  readonly id: string;
  readonly token: bigint;
}

/** A designation as it stands in its cell. */
export interface Designated extends Designation {
  readonly version: bigint;
}

const PREFIX = 'hand-over ';

/**
 * The cell of an election. A key is no longer than a name may be, so long names share theirs; it says which of them it is
 * for, and the latest counts.
 */
function keyOf(election: string): string {
  let key = `${PREFIX}${election}`;
  while (toUtf8(key).length > MAX_NAME_BYTES) key = [...key].slice(0, -1).join('');
  return key;
}

/** Who is named in the election, now and after each change. */
export function designated(backend: Backend, election: string): Observable<Designated | undefined> {
  if (!backend.characteristics.cells) return of(undefined);
  return backend
    .cell(keyOf(election))
    .pipe(map((cell) => (cell === undefined ? undefined : read(cell.value, cell.version, election))));
}

/** Names who is to lead. Completes when the store has it. */
export function designate(backend: Backend, election: string, { id, token }: Designation): Observable<never> {
  const value = toUtf8(JSON.stringify({ election, id, token: token.toString() }));
  return backend.swap(keyOf(election), 'any', value).pipe(ignoreElements());
}

/** Whether who was named has gone: a line that is younger than its entry does not have it. */
export function isVoid({ id, token }: Designation, line: readonly Entry[]): boolean {
  return !line.some((entry) => entry.id === id) && line.some((entry) => entry.token > token);
}

/** Takes a designation away, unless another has been made since. */
export function undesignate(backend: Backend, election: string, { version }: Designated): Observable<never> {
  return backend.swap(keyOf(election), version, undefined).pipe(
    ignoreElements(),
    catchError((error: CoordinationError) => {
      // Somebody else will: it does not matter while it stands there.
      if (!isError<BackendClosed>(error, 'BackendClosed')) backend.reportFault(error);
      return EMPTY;
    }),
  );
}

/** What others wrote there names nobody. */
function read(value: Uint8Array, version: bigint, election: string): Designated | undefined {
  try {
    const named: Readonly<Record<'election' | 'id' | 'token', unknown>> = JSON.parse(fromUtf8(value));
    if (named.election !== election || typeof named.id !== 'string' || typeof named.token !== 'string')
      return undefined;
    return { id: named.id, token: BigInt(named.token), version };
  } catch {
    return undefined;
  }
}
