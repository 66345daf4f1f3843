import type { StoreName } from './stores.js';

/**
 * The rows that run before each change is merged: one or two of each kind, on each store that has them. All others run
 * with `npm run test:faults`.
 */
export const ROWS: ReadonlySet<string> = new Set([
  'client crash',
  'blocked event loop',
  'server restart, data kept',
  'partition: black hole',
  'partition: replies delayed, then requests lost',
  'lost replies, each by itself',
  'machine suspended often and shortly, and a partition',
  'readers and writers, broken while they hold',
  'preferred candidates, broken while they lead',
  'made a replica of one that lags, and a master again',
  'address led to a replica that is promoted only afterwards',
  'server deposed for good, connections stay, and the address leads to the next master',
  'sentinel fail-over, master paused and continued',
  'master of the cluster killed, replica promoted',
  'leader of the store killed',
  'follower of the store cut off, a quiet holder on it',
]);

/** The same, of which one store has to do. */
export const ROWS_OF_ONE: ReadonlyMap<string, StoreName> = new Map([
  ['ticks of a schedule, their runners broken', 'etcd'],
  ['items divided among members, who are broken', 'redis'],
]);

/** Of the mends that are taken out to see whether the laboratory notices. */
export const WEAKENINGS: ReadonlySet<string> = new Set([
  'deadline-from-reply',
  'plain-read-as-heartbeat',
  'suspensions-uncounted',
  'deposed-server-kept',
]);

/** `vitest --mode selection`. */
const isSelecting = process.env['MODE'] === 'selection';

export function isChosen(row: string, store: string): boolean {
  return !isSelecting || ROWS.has(row) || ROWS_OF_ONE.get(row) === store;
}

export function isChosenWeakening(weakening: string): boolean {
  return !isSelecting || WEAKENINGS.has(weakening);
}
