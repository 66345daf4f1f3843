import type { Entry, RosterKey, RosterKind } from '../backend.js';
import { permitsInName, permitsOf } from '../shared/admission.js';
import { decodeSegment, encodeSegment, escapeFirst } from '../shared/keys.js';
import type { StandRequest } from '../store.js';

/** Everything but locks lives below this word, so that locks can stand where Go's `concurrency` package has them. */
const RESERVED = 'conclave';

/** The keys from `start` up to, but without, `end`; `end` left out means the one key. */
export interface KeyRange {
  readonly start: Buffer;
  readonly end?: Buffer;
}

/**
 * Where things are:
 *
 *     <name>/<lease hex>-<id>                        locks: the layout of Go's `concurrency`, with a suffix; a slash in
 *                                                    the name stays one, since keys further below are not entries
 *     conclave/elections/<name>/<lease hex>-<id>     the value is the payload
 *     conclave/groups/<name>/<lease hex>-<id>        the value is the payload
 *     conclave/registry/<kind>/<name>                the value is empty
 *     conclave/cells/<key>                           the value is the cell's
 *     conclave/outcomes/<id>                         the value is how the write of this id has come out, or `refused`:
 *                                                    the entry of this id was given up and must not come to anything
 *     conclave/outcomes/<id>/<lease hex>             a request of this id that carries this lease comes too late
 *     conclave/outcomes/evicted/<lease hex>/<id>     the value is an entry of the session of this lease, which was evicted by the
 *                                                    write of this id: for its owner, who watches what begins so
 *
 * An `r` at the end of an entry's key says that it is shared; whatever others write there is exclusive. `.3` after that says
 * that three may hold it, where that is not as usual.
 */
export class Layout {
  readonly #root: string;

  constructor(namespace: string) {
    this.#root = namespace === '' ? '' : `${namespace}/`;
  }

  /** Never written: read to learn whether the cluster answers. */
  get probe(): string {
    return `${this.#root}${RESERVED}/probe`;
  }

  entries({ kind, name }: RosterKey): string {
    if (kind !== 'lock') return `${this.#root}${RESERVED}/${kind}s/${encodeSegment(name)}/`;
    return `${this.#root}${name.split('/').map(lockSegment).join('/')}/`;
  }

  outcome(writeId: string): string {
    return `${this.#root}${RESERVED}/outcomes/${writeId}`;
  }

  fence(writeId: string, lease: string): string {
    return `${this.outcome(writeId)}/${leaseHex(lease)}`;
  }

  evictions(session: string): string {
    return `${this.outcome('evicted')}/${session}/`;
  }

  registration({ kind, name }: RosterKey): string {
    return this.registry(kind) + encodeSegment(name);
  }

  registry(kind: RosterKind): string {
    return `${this.#root}${RESERVED}/registry/${kind}/`;
  }

  cell(key: string): string {
    return `${this.#root}${RESERVED}/cells/${encodeSegment(key)}`;
  }
}

/** As it is, also to other clients, but for `%`, control characters, and the word under which everything else lives. */
function lockSegment(part: string): string {
  const segment = encodeSegment(part);
  return segment === RESERVED ? escapeFirst(segment) : segment;
}

/** What follows the roster's prefix. `session` is the hex of the lease that the session began with. */
export function entryId(session: string, kind: RosterKind, { id, mode, permits }: StandRequest): string {
  const limit = permitsInName(kind, permits);
  return `${session}-${id}${mode === 'shared' ? 'r' : ''}${limit === '' ? '' : `.${limit}`}`;
}

const ENTRY_ID = /^([0-9a-f]+)-[0-9a-f]{32}(r?)(?:\.(\d+))?$/;

/** The session that an entry stands in, as `entryId` was given it; `undefined` for what others have written. */
export function sessionOf(entryId: string): string | undefined {
  return ENTRY_ID.exec(entryId)?.[1];
}

/** Mode and permits of an entry. */
export function wishOf(kind: RosterKind, entryId: string): Pick<Entry, 'mode' | 'permits'> {
  const [, , shared, limit] = ENTRY_ID.exec(entryId) ?? [];
  return { mode: shared === 'r' ? 'shared' : 'exclusive', permits: permitsOf(kind, limit) };
}

/**
 * Deeper keys belong to others whose names begin alike: a namespace, or a lock with a slash in its name. And what is no
 * UTF-8, which reads as U+FFFD, is nobody's: no client makes such a key, and nothing could wait for it.
 */
export function isEntry(entryId: string): boolean {
  return !entryId.includes('/') && !entryId.includes('\ufffd');
}

export function nameOf(segment: string): string | undefined {
  return decodeSegment(segment);
}

export function oneKey(key: string): KeyRange {
  return { start: Buffer.from(key) };
}

/** All keys that begin with `prefix`, which is not empty and ends in ASCII. */
export function below(prefix: string): KeyRange {
  const start = Buffer.from(prefix);
  const end = Buffer.from(start);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return { start, end };
}

/** What is left of a range after one of its keys. */
export function keysAfter(range: KeyRange, key: Buffer): KeyRange {
  return { ...range, start: Buffer.concat([key, Buffer.of(0)]) };
}

/** Lower case, no padding: as Go writes it. */
export function leaseHex(lease: string): string {
  return BigInt(lease).toString(16);
}
