/*
 * Six tenants, divided among the workers that are there. One comes, one dies; each tenant is billed by one at a time.
 *
 *     npx tsx examples/sharing.ts
 *
 * All workers are in one process here, and time is simulated. With `connect(…)` in place of `simulate`, and nothing else
 * changed, they are in different ones.
 */
import { type Grant, withPartition } from 'conclave';
import { simulate } from 'conclave/testing';
import { fromEvent, mergeMap, Observable, takeUntil, timer } from 'rxjs';

const tenants = ['ada', 'bea', 'cyd', 'dot', 'eve', 'fay'];
const cluster = simulate({ ttlMs: 2_000 });

const billing =
  (worker: string) =>
  (tenant: string, { draining }: Grant): Observable<never> =>
    new Observable<never>(() => {
      console.log(`  ${worker} bills ${tenant}`);
      return () => console.log(`  ${worker} stops ${tenant}`);
    }).pipe(
      // An invoice that is begun takes half a second.
      takeUntil(fromEvent(draining, 'abort').pipe(mergeMap(() => timer(500)))),
    );
const start = (worker: string): void => {
  const backend = cluster.backend(worker);
  cluster.run(worker, () => withPartition(backend, 'billing', tenants, billing(worker), { id: worker }).subscribe());
};

console.log('Two workers have three tenants each, as soon as nothing has changed for a second.');
start('worker-1');
start('worker-2');
cluster.pass(1_500);

console.log('A third one comes: each of the others gives one up, and only then has it another.');
start('worker-3');
cluster.pass(1_500);

console.log('One dies: its tenants have others when its session has expired, and that has settled.');
cluster.crash('worker-2');
cluster.pass(4_000);

console.log('One drains: it takes nothing new, and is done with what it has before others begin.');
cluster.deploy('worker-3', 3_000);
cluster.pass(4_500);
await cluster.close();
