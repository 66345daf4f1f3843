/*
 * A job that three instances know, and that one of them does at each second; also after the one that did it has died in the
 * middle of a tick.
 *
 *     npx tsx examples/scheduling.ts
 *
 * All instances are in one process here, and time is simulated. With `connect(…)` in place of `simulate`, and nothing else
 * changed, they are in different ones.
 */
import { schedule, scheduleHistory } from 'conclave';
import { simulate } from 'conclave/testing';
import { timer } from 'rxjs';

const cluster = simulate({ ttlMs: 1_500, startsAt: new Date('2026-03-01T12:00:00Z') });

for (const instance of ['instance-1', 'instance-2', 'instance-3']) {
  const backend = cluster.backend(instance);
  cluster.run(instance, () =>
    schedule(backend, 'invoices', '* * * * * *', () => timer(400), {
      delivery: 'at-least-once',
      missed: 'all',
      timeZone: 'Europe/Berlin',
    }).subscribe(({ kind, tick }) => {
      const time = tick.date.toISOString().slice(11, 19);
      console.log(`  ${instance} ${kind} ${time}${tick.attempt > 1 ? ', begun for the second time' : ''}`);
    }),
  );
}

console.log('One of three does the job.');
cluster.pass(2_200);

console.log('It dies while it works: the next one does that tick again, and those that nobody led at.');
cluster.crash('instance-1');
cluster.pass(4_500);

console.log('What was done, as anybody can see it:');
scheduleHistory(cluster.backend('looker'), 'invoices').subscribe((ticks) => {
  for (const { date, state, attempt } of ticks)
    console.log(`  ${date.toISOString().slice(11, 19)} ${state}, begun ${attempt === 1 ? 'once' : `${attempt} times`}`);
});
cluster.pass(10);
await cluster.close();
