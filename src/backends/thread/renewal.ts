import { defer, from, map, type Observable, shareReplay, switchMap } from 'rxjs';
import type { Characteristics } from '../backend.js';
import type { Stores } from '../kernel/sharded-backend.js';
import type { BackendOptions } from '../shared/options.js';
import type { RenewalOptions } from '../shared/renewal.js';
import type { ThreadedAdapter } from './messages.js';

/** The stores of an adapter: `onLoop`, or those that run in a thread, of which nothing is loaded where it is not asked for. */
export function renewedBy(
  adapter: ThreadedAdapter,
  characteristics: Characteristics,
  options: BackendOptions & RenewalOptions,
  shards: number,
  onLoop: Observable<Stores>,
): Observable<Stores> {
  if (options.renewal !== 'thread') return onLoop;
  return defer(() => from(import('./thread-stores.js'))).pipe(
    map(({ threadStores }) => threadStores(adapter, characteristics, options, shards)),
    // One thread for all shards, and for one session after the other.
    shareReplay(1),
    switchMap((stores$) => stores$),
  );
}
