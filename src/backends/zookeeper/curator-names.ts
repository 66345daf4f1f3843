import type { Codec, Mode } from '../backend.js';
import { permitsInName } from '../shared/admission.js';
import { encodeSegment, escapeFirst } from '../shared/keys.js';
import { curatorSemaphores } from './curator-semaphores.js';
import { KEEPER, nameOf } from './layout.js';
import { BESIDE, type Names, parseNumbered, UNNUMBERED } from './names.js';

/**
 * The names of two recipes of Curator's do not see each other at one path, so an entry has one of each: its first node is
 * found by its own kind, and by conclave; the second, made in the same transaction, by the other.
 */
const MARKERS: Readonly<Record<'lock' | 'election', Readonly<Record<Mode, readonly string[]>>>> = {
  // InterProcessMutex; InterProcessReadWriteLock.
  lock: { exclusive: ['-lock-', '-__WRIT__'], shared: ['-__READ__', '-lock-'] },
  // LeaderLatch; LeaderSelector.
  election: { exclusive: ['-latch-', '-lock-'], shared: ['-__READ__'] },
};
const GROUP_MARKERS: Readonly<Record<Mode, string>> = { exclusive: '__xmember__', shared: '__member__' };

/** Curator's prefix of what is made under an id that is found again. */
const prefixOf = (id: string): string => `_c_${id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')}`;
const PREFIX_LENGTH = prefixOf('0'.repeat(32)).length;

/** What a member writes of itself. */
interface MemberData {
  readonly id: string;
  readonly owner: string;
}

/**
 * Locks, elections and members as Curator's recipes have them. Members are called by their ids: who comes while another
 * one is called so is numbered.
 */
export function curatorNames(codec: Codec): Names {
  const read = (data: Uint8Array): unknown => {
    try {
      return codec.decode(data);
    } catch {
      return undefined;
    }
  };
  /** What another client's member shows is what the codec reads, or else text. */
  const told = (name: string, data: Uint8Array): Uint8Array => {
    const capabilities = read(data) ?? (data.length === 0 ? undefined : new TextDecoder().decode(data));
    try {
      return codec.encode({ id: nameOf(name), owner: name, capabilities });
    } catch {
      return data;
    }
  };
  return {
    starts: (kind, { id, mode, permits }) => {
      const limit = permitsInName(kind, permits);
      const start = `${prefixOf(id)}${limit === '' ? '' : `.${limit}`}`;
      const [marker, ...others] = kind === 'group' ? [GROUP_MARKERS[mode]] : MARKERS[kind][mode];
      return [`${start}${marker}`, ...others.map((other) => `${start}${BESIDE}${other}`)];
    },
    whole: (kind, { mode, payload }) => {
      const record = kind === 'group' && mode === 'shared' ? read(payload) : undefined;
      if (!isMemberData(record)) return undefined;
      const segment = encodeSegment(record.id);
      return segment === KEEPER || parseNumbered(kind, segment) !== undefined ? escapeFirst(segment) : segment;
    },
    parse: (kind, name) => {
      const numbered = parseNumbered(kind, name);
      if (numbered !== undefined || kind !== 'group' || name === KEEPER) return numbered;
      return { name, mode: 'shared', permits: Number.POSITIVE_INFINITY, sequence: UNNUMBERED };
    },
    madeUnder: (id, names) => names.filter((name) => name.startsWith(prefixOf(id))),
    beside: (entry, names) => {
      const prefix = entry.slice(0, PREFIX_LENGTH);
      return names.filter(
        (name) => name !== entry && name.startsWith(prefix) && name.slice(PREFIX_LENGTH).includes(BESIDE),
      );
    },
    payload: (kind, name, data) => {
      const isOurs = kind !== 'group' || parseNumbered(kind, name) !== undefined || isMemberData(read(data));
      return isOurs ? data : told(name, data);
    },
    semaphores: curatorSemaphores,
  };
}

function isMemberData(value: unknown): value is MemberData {
  return (
    typeof value === 'object' &&
    value !== null &&
    'id' in value &&
    typeof value.id === 'string' &&
    value.id !== '' &&
    'owner' in value &&
    typeof value.owner === 'string'
  );
}
