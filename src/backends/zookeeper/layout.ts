import type { Mode, RosterKey, RosterKind } from '../backend.js';
import { permitsInName, permitsOf } from '../shared/admission.js';
import { decodeSegment, encodeSegment } from '../shared/keys.js';
import type { StandRequest } from '../store.js';

const FOLDERS: Readonly<Record<RosterKind, string>> = { lock: 'locks', election: 'elections', group: 'groups' };

/** What stands between the id and the sequence number in names, ours first; the others' are kazoo's and Curator's. */
const MARKERS: Readonly<Record<RosterKind, Readonly<Record<string, Mode>>>> = {
  lock: {
    __lock__: 'exclusive',
    __rlock__: 'shared',
    '-lock-': 'exclusive',
    __WRIT__: 'exclusive',
    __READ__: 'shared',
  },
  election: { __lock__: 'exclusive', __rlock__: 'shared', '-lock-': 'exclusive', '-latch-': 'exclusive' },
  group: { __xmember__: 'exclusive', __member__: 'shared' },
};

/** Data of a parent that only holds entries: it goes when it is empty, and registers nothing. */
export const MARK = 'conclave';

/** A child that keeps its parent from being empty. No entry has such a name. */
export const KEEPER = 'registered';
/** What the data of a registration that has a `KEEPER` end with. */
export const KEPT = ' kept';

/** Whether a parent with these data registers its roster. Groups of others do; others' parents of locks do not. */
export function isRegistration(kind: RosterKind, data: Buffer): boolean {
  const text = data.toString('latin1');
  return kind === 'group' ? text !== MARK : /^[0-9a-f]{32}( kept)?$/.test(text);
}

export function isKept(data: Buffer): boolean {
  return /^[0-9a-f]{32} kept$/.test(data.toString('latin1'));
}

/** An entry, as far as its name tells. */
export interface Named {
  readonly name: string;
  readonly mode: Mode;
  readonly permits: number;
  /** 32 bits; it goes up with each child that is made, and is negative beyond the last. */
  readonly sequence: number;
}

/** Where everything is, below one root. */
export class Layout {
  readonly cells: string;
  /** Where sessions keep how their writes came out. */
  readonly writes: string;
  /** A node that is never there. */
  readonly heartbeat: string;

  constructor(readonly root: string) {
    this.cells = `${root}/cells`;
    this.writes = `${root}/writes`;
    this.heartbeat = `${root}/heartbeat`;
  }

  /** All that is made once. */
  get folders(): readonly string[] {
    return [...Object.values(FOLDERS).map((folder) => `${this.root}/${folder}`), this.cells, this.writes];
  }

  folder(kind: RosterKind): string {
    return `${this.root}/${FOLDERS[kind]}`;
  }

  parent(roster: RosterKey): string {
    return `${this.folder(roster.kind)}/${encodeSegment(roster.name)}`;
  }

  cell(key: string): string {
    return `${this.cells}/${encodeSegment(key)}`;
  }
}

/** The root of `chroot` and `namespace`, each of which may have several segments. */
export function rootOf(chroot: string, namespace: string): string {
  const segments = [...chroot.split('/'), ...namespace.split('/')].filter((segment) => segment !== '');
  return segments.map((segment) => `/${encodeSegment(segment)}`).join('');
}

/** The start of an entry's name, to which the server adds the sequence number; with the permits, where they are not as usual. */
export function prefixOf(kind: RosterKind, { id, mode, permits }: StandRequest): string {
  const marker = Object.entries(MARKERS[kind]).find(([, meant]) => meant === mode)?.[0];
  const limit = permitsInName(kind, permits);
  return `${id}${limit === '' ? '' : `.${limit}`}${marker}`;
}

/** `undefined` for whatever else stands there. */
export function parseEntry(kind: RosterKind, name: string): Named | undefined {
  // The server pads to ten characters, of which a minus is one.
  const [, limit, marker = '', digits] =
    /(?:^[0-9a-f]{32}\.(\d+))?(__[A-Za-z]+__|-[a-z]+-)(\d{10}|-\d{9,10})$/.exec(name) ?? [];
  const markers = MARKERS[kind];
  const mode = Object.hasOwn(markers, marker) ? markers[marker] : undefined;
  if (mode === undefined) return undefined;
  return { name, mode, permits: permitsOf(kind, limit), sequence: Number(digits) | 0 };
}

export function parseEntries(kind: RosterKind, names: readonly string[]): readonly Named[] {
  return names.map((name) => parseEntry(kind, name)).filter((entry) => entry !== undefined);
}

/** The name that a segment stands for; that of another client's stands for itself. */
export function nameOf(segment: string): string {
  return decodeSegment(segment) ?? segment;
}

/** Whether a node can have this name: there is none with a slash, nor with what servers refuse in a path. */
export function canBeSegment(name: string): boolean {
  return !/[/\p{Cc}\p{Cs}\p{Co}\ufff0-\uffff]/u.test(name);
}
