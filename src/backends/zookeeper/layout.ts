import type { RosterKey, RosterKind } from '../backend.js';
import { decodeSegment, encodeSegment } from '../shared/keys.js';
import type { Names, SemaphoreNames } from './names.js';

const FOLDERS: Readonly<Record<RosterKind, string>> = { lock: 'locks', election: 'elections', group: 'groups' };

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

/** Folders that are somewhere else than below the root. */
export type Folders = Readonly<Partial<Record<RosterKind, string | undefined>>>;

/** Where everything is, and how it is called there. */
export class Layout {
  readonly cells: string;
  /** Where sessions keep how their writes came out. */
  readonly writes: string;
  /** A node that is never there. */
  readonly heartbeat: string;

  constructor(
    readonly root: string,
    readonly names: Names,
    private readonly elsewhere: Folders = {},
  ) {
    this.cells = `${root}/cells`;
    this.writes = `${root}/writes`;
    this.heartbeat = `${root}/heartbeat`;
  }

  /** All that is made once. */
  get folders(): readonly string[] {
    return [this.folder('lock'), this.folder('election'), this.folder('group'), this.cells, this.writes];
  }

  folder(kind: RosterKind): string {
    return this.elsewhere[kind] ?? `${this.root}/${FOLDERS[kind]}`;
  }

  parent(roster: RosterKey): string {
    return `${this.folder(roster.kind)}/${encodeSegment(roster.name)}`;
  }

  /** Where those stand who ask for one of several permits, where the layout has that elsewhere than in the line. */
  semaphore(roster: RosterKey): SemaphoreLayout | undefined {
    const { semaphores } = this.names;
    if (semaphores === undefined || roster.kind !== 'lock') return undefined;
    const parent = this.parent(roster);
    return {
      names: semaphores,
      parent,
      locks: `${parent}/${semaphores.locks}`,
      leases: `${parent}/${semaphores.leases}`,
    };
  }

  cell(key: string): string {
    return `${this.cells}/${encodeSegment(key)}`;
  }
}

/** A semaphore of two folders. */
export interface SemaphoreLayout {
  readonly names: SemaphoreNames;
  readonly parent: string;
  readonly locks: string;
  readonly leases: string;
}

/** The root of `chroot` and `namespace`, each of which may have several segments. */
export function rootOf(chroot: string, namespace: string): string {
  const segments = [...chroot.split('/'), ...namespace.split('/')].filter((segment) => segment !== '');
  return segments.map((segment) => `/${encodeSegment(segment)}`).join('');
}

/** The name that a segment stands for; that of another client's stands for itself. */
export function nameOf(segment: string): string {
  return decodeSegment(segment) ?? segment;
}

/** Whether a node can have this name: there is none with a slash, nor with what servers refuse in a path. */
export function canBeSegment(name: string): boolean {
  return !/[/\p{Cc}\p{Cs}\p{Co}\ufff0-\uffff]/u.test(name);
}
