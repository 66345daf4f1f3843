import type { IKeyValue, IRequestOp } from 'etcd3';
import { type Observable, of, switchMap, throwError } from 'rxjs';
import type { RosterKey } from '../backend.js';
import { PlaceLost } from '../errors.js';
import { conflicts } from '../shared/admission.js';
import type { StandRequest } from '../store.js';
import { below, isEntry, oneKey, wishOf } from './layout.js';
import type { Link } from './link.js';
import { keysRead, read } from './requests.js';

/** Who stands before an entry, as of a revision. */
export interface Line {
  readonly revision: bigint;
  /** Keys of the conflicting entries before mine, oldest first; only the nearest where that one is enough. */
  readonly ahead: readonly string[];
}

/** What one entry needs to find its place. */
export interface Contender {
  readonly roster: RosterKey;
  readonly request: StandRequest;
  readonly key: string;
  /** Of all the roster's entries. */
  readonly prefix: string;
}

/** Nobody waits where everybody is admitted, so nobody is counted. */
export function isAlwaysAdmitted({ request }: Contender): boolean {
  return request.permits === Number.POSITIVE_INFINITY;
}

/** With one permit the nearest conflicting entry ahead tells all; and where everything conflicts, the server finds it. */
export function wantsNearestOnly({ request }: Contender): boolean {
  return request.permits === 1 && request.mode === 'exclusive';
}

/** Reads, in the transaction that puts the entry in, whoever stands before it. The put comes first, and is seen. */
export function lineOnEntering(contender: Contender): readonly IRequestOp[] {
  if (isAlwaysAdmitted(contender)) return [];
  const all = below(contender.prefix);
  if (!wantsNearestOnly(contender)) return [read(all, { keys_only: true })];
  return [read(all, { keys_only: true, sort_target: 'Create', sort_order: 'Descend', limit: 2 })];
}

/** The line as such a read found it; undefined if what it found hides who is nearest, and all must be read. */
export function lineOf(
  contender: Contender,
  token: bigint,
  found: readonly IKeyValue[],
  revision: bigint,
  isFull: boolean,
): Line | undefined {
  const { prefix, request, roster } = contender;
  const before = found
    .map(({ key, create_revision }) => ({ key: key.toString(), created: BigInt(create_revision) }))
    .filter(({ created }) => created < token);
  const entries = before.filter(({ key }) => isEntry(key.slice(prefix.length)));
  if (!isFull && entries.length < before.length) return undefined;
  const ahead = entries
    .filter(({ key }) => conflicts(wishOf(roster.kind, key.slice(prefix.length)).mode, request.mode))
    .sort((a, b) => (a.created < b.created ? -1 : 1))
    .map(({ key }) => key);
  return { revision, ahead: request.permits === 1 ? ahead.slice(-1) : ahead };
}

/** The line now. Fails with `PlaceLost` when the entry itself is no longer in it. */
export function readLine(link: Link, contender: Contender, token: bigint): Observable<Line> {
  return lineAsOf(link, contender, token, undefined, !wantsNearestOnly(contender));
}

/**
 * The line as of this revision or a later one, which the member that told of it knows by itself. Who stands before an entry
 * can only go: so nobody stands there any more when nobody did then.
 */
export function readLineSince(link: Link, contender: Contender, token: bigint, since: bigint): Observable<Line> {
  return lineAsOf(link, contender, token, since, !wantsNearestOnly(contender));
}

/** As of now where no revision is given, or the member asked does not know that one yet. */
function lineAsOf(
  link: Link,
  contender: Contender,
  token: bigint,
  since: bigint | undefined,
  inFull: boolean,
): Observable<Line> {
  const serializable = since !== undefined;
  const before = { keys_only: true, serializable, max_create_revision: String(token - 1n) };
  const how = inFull ? before : ({ ...before, sort_target: 'Create', sort_order: 'Descend', limit: 1 } as const);
  return link
    .call('find the place in line', ({ kv }, options) => {
      const success = [read(oneKey(contender.key), { keys_only: true, serializable })];
      if (!isAlwaysAdmitted(contender)) success.push(read(below(contender.prefix), how));
      return kv.txn({ success }, options);
    })
    .pipe(
      switchMap(({ header, responses }) => {
        // A client of the caller's may ask another member than the one that watches.
        if (since !== undefined && BigInt(header.revision) < since)
          return lineAsOf(link, contender, token, undefined, inFull);
        const mine = keysRead(responses, 0)[0];
        if (mine === undefined || BigInt(mine.create_revision) !== token) return lost(contender);
        const line = lineOf(contender, token, keysRead(responses, 1), BigInt(header.revision), inFull);
        return line === undefined ? lineAsOf(link, contender, token, since, true) : of(line);
      }),
    );
}

/** What an entry that is gone without its owner's doing ends with. */
export function lost({ roster }: Contender): Observable<never> {
  return throwError(() => new PlaceLost(`${roster.kind} ${JSON.stringify(roster.name)}`, 'evicted'));
}
