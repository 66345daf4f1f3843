import { map, type Observable } from 'rxjs';
import type { Connection, Step } from './connection.js';
import type { Glance } from './glance.js';
import type { Mine } from './order.js';

/** One's own entry, found again by the request's id. */
export interface Stand {
  readonly parent: string;
  readonly path: string;
  /** What stands beside it, for other clients. It stands as long as all of them do. */
  readonly beside: readonly string[];
  /** How often it was updated. */
  version: number;
  mine: Mine | undefined;
  glance: Glance | undefined;
}

export function pathsOf({ path, beside }: Stand): readonly string[] {
  return [path, ...beside];
}

export function namesOf(stand: Stand): readonly string[] {
  return pathsOf(stand).map((path) => path.slice(stand.parent.length + 1));
}

/** Emits the version that the entry has now. What stands beside it is written with it, whatever others have written there. */
export function writeAll(
  connection: Connection,
  { path, beside, version }: Stand,
  data: Uint8Array,
): Observable<number> {
  if (beside.length === 0) return connection.write(path, data, version).pipe(map((stat) => stat.version));
  const set = (one: string, expected: number): Step => ({ act: 'set', path: one, data, version: expected });
  return connection
    .transact(`write ${path}`, [set(path, version), ...beside.map((one) => set(one, -1))])
    .pipe(map(([answer]) => answer?.stat?.version ?? version + 1));
}
