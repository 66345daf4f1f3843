import type { ILeaseGrantResponse } from 'etcd3';
import { map, type Observable } from 'rxjs';
import type { StoreContext } from '../store.js';
import type { Connection } from './connection.js';

/** A lease as it was granted. */
export interface Grant {
  /** As etcd3 writes it: decimal. */
  readonly lease: string;
  readonly ttlMs: number;
  /** The raft term whose leader knows of the renewals of this lease. */
  readonly term: string;
  /** When the request was sent. */
  readonly sentMs: number;
}

/** Asks for a lease of whole seconds; the server may give more. */
export function grantLease(connection: Connection, { timing, now }: StoreContext): Observable<Grant> {
  const sentMs = now();
  return connection
    .callAtOnce('grant a lease', ({ leaseClient }, options) =>
      leaseClient.leaseGrant({ TTL: Math.ceil(timing.ttlMs / 1000) }, options),
    )
    .pipe(
      map(({ ID, TTL, header }: ILeaseGrantResponse) => ({
        lease: ID,
        ttlMs: Number(TTL) * 1000,
        term: header.raft_term,
        sentMs,
      })),
    );
}
