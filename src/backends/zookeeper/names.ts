import type { Mode, RosterKind } from '../backend.js';
import { permitsOf } from '../shared/admission.js';
import type { StandRequest } from '../store.js';

/** An entry, as far as its name tells. */
export interface Named {
  readonly name: string;
  readonly mode: Mode;
  readonly permits: number;
  /** 32 bits; it goes up with each child that is made, and is negative beyond the last. */
  readonly sequence: number;
}

/** How entries are called in the store. It decides which other clients see them. */
export interface Names {
  /**
   * How the nodes of an entry begin, to each of which the server adds a sequence number. The first is the entry. The
   * others stand beside it, for clients that go by another name, and are no entries.
   */
  starts(kind: RosterKind, request: StandRequest): readonly string[];
  /** What the only node of an entry is called instead, without a number, where nothing is called so yet. */
  whole?(kind: RosterKind, request: StandRequest): string | undefined;
  /** `undefined` for whatever else stands there. */
  parse(kind: RosterKind, name: string): Named | undefined;
  /** Those of `names` that were made under the id of a request. */
  madeUnder(id: string, names: readonly string[]): readonly string[];
  /** Those of `names` that stand beside an entry. Where there is no such thing, nobody needs to list them. */
  beside?(entry: string, names: readonly string[]): readonly string[];
  /** What the data of an entry's node say, in the words of the port. */
  payload?(kind: RosterKind, name: string, data: Uint8Array): Uint8Array;
  /** Where others have semaphores in two folders of their own, how these are called there. */
  readonly semaphores?: SemaphoreNames;
}

/** A semaphore of two folders: who waits stands in one, and goes over to the other when it has a permit. */
export interface SemaphoreNames {
  /** A child of the roster's parent: a line in which whoever comes first may take a permit. */
  readonly locks: string;
  /** The other: each of its children holds a permit, whatever it is called. */
  readonly leases: string;
  /** Who waits; `undefined` for whatever else stands there. What another client made tells no number of permits: 0. */
  waiting(name: string): Named | undefined;
  /** Who holds a permit. What another client made tells no number of permits: any. */
  holding(name: string): Named & { readonly token?: bigint };
  /** What the node of an entry is called when it has a permit, with its token. */
  leaseOf(entry: string, token: bigint): string;
}

/** What stands between the id and the sequence number: ours, kazoo's and Curator's. */
const MARKERS: Readonly<Record<RosterKind, Readonly<Record<string, Mode>>>> = {
  lock: {
    __lock__: 'exclusive',
    __rlock__: 'shared',
    '-lock-': 'exclusive',
    __WRIT__: 'exclusive',
    __READ__: 'shared',
  },
  election: {
    __lock__: 'exclusive',
    __rlock__: 'shared',
    '-lock-': 'exclusive',
    '-latch-': 'exclusive',
    __READ__: 'shared',
  },
  group: { __xmember__: 'exclusive', __member__: 'shared' },
};

/** No number that tells an order: that of the transactions does. */
export const UNNUMBERED = -1;

/** In a name of the curator layout: it stands beside an entry, and is none. */
export const BESIDE = '-also';

/** What is numbered, and called as any of the clients calls its entries. */
export function parseNumbered(kind: RosterKind, name: string): Named | undefined {
  // The server pads to ten characters, of which a minus is one.
  const [, limit, beside, marker = '', digits] =
    /(?:^(?:[0-9a-f]{32}|_c_[0-9a-f-]{36})(?:\.(\d+))?(-also)?)?-?(__[A-Za-z]+__|-[a-z]+-)(\d{10}|-\d{9,10})$/.exec(
      name,
    ) ?? [];
  const markers = MARKERS[kind];
  const mode = Object.hasOwn(markers, marker) ? markers[marker] : undefined;
  if (mode === undefined || beside !== undefined) return undefined;
  return { name, mode, permits: permitsOf(kind, limit), sequence: Number(digits) | 0 };
}
