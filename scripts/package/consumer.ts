// Type-checked in each way of resolving modules, and run as CommonJS.
import {
  type Backend,
  type CoordinationError,
  campaign,
  connect,
  isRight,
  isSome,
  leader,
  lock,
  toUndefined,
  tryLock,
} from 'conclave';
import { createBackend, type Store } from 'conclave/backend';
import * as memory from 'conclave/memory';
import * as redis from 'conclave/redis';
import * as testing from 'conclave/testing';
import { startEtcd, startZooKeeper, type TestCluster } from 'conclave/testing/servers';
import { filter, firstValueFrom, map, type Observable, of } from 'rxjs';

const backend: Backend = connect('memory:');
export const token$: Observable<bigint> = lock(backend, 'invoice-42').pipe(map((grant) => grant.token));
export const faults$: Observable<CoordinationError> = backend.faults$;
export const adapters = [memory, redis];
export const made = (store: Store): Backend => createBackend(store.name, store.characteristics, of(store), {});
export const clusters: readonly (() => Promise<TestCluster>)[] = [() => startEtcd({ nodes: 3 }), startZooKeeper];
export const cluster: testing.Cluster = testing.simulate();

// What may be there or not is read without fp-ts.
const leads$: Observable<bigint> = campaign(backend, 'scheduler', { data: 'me' }).pipe(
  filter(isSome),
  map((grant) => grant.value.token),
);
const leader$: Observable<unknown> = leader(backend, 'scheduler').pipe(map((who) => toUndefined(who)?.data));

export async function main(): Promise<void> {
  const tried = await firstValueFrom(tryLock(backend, 'invoice-42'));
  if (!isRight(tried)) throw tried.left;
  const leading = leads$.subscribe((token) => console.log(`leads with token ${token}`));
  console.log(`the lock had token ${tried.right.token}; the leader is ${String(await firstValueFrom(leader$))}`);
  leading.unsubscribe();
  await backend.close();
}
