import { type Observable, tap } from 'rxjs';
import type { RosterKey } from '../backend.js';
import type { Connection } from './connection.js';
import type { SemaphoreLayout } from './layout.js';

/** One's own entry in a semaphore of two folders, found again by the request's id. */
export interface PermitStand {
  readonly roster: RosterKey;
  readonly semaphore: SemaphoreLayout;
  /** What its node is called as long as it waits. */
  readonly name: string;
  /** The transaction that created that. */
  token: bigint | undefined;
  /** How many stood before it when it got a permit; `undefined` as long as it is not known to have one. */
  ahead: number | undefined;
  payload: Uint8Array;
  /** Of the node that stands for it now. */
  version: number;
}

/** Its node as long as it waits. */
export function waitingAt({ semaphore, name }: PermitStand): string {
  return `${semaphore.locks}/${name}`;
}

/** Where it holds a permit, or will; not known before its token is. */
export function holdingAt({ semaphore, name, token }: PermitStand): string | undefined {
  return token === undefined ? undefined : `${semaphore.leases}/${semaphore.names.leaseOf(name, token)}`;
}

/** Its node now, as far as is known. */
export function pathOf(stand: PermitStand): string {
  return (stand.ahead === undefined ? undefined : holdingAt(stand)) ?? waitingAt(stand);
}

/** What one's own node says, and which version of it. */
export function readOwn(connection: Connection, stand: PermitStand): Observable<unknown> {
  return connection.read(pathOf(stand)).pipe(
    tap(({ data, stat }) => {
      stand.payload = new Uint8Array(data);
      stand.version = stat.version;
    }),
  );
}
