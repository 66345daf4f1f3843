// A test of somebody's project, compiled to CommonJS and to ES modules, and run by each Jest both ways.
import { connect, LockLost, leadership, lock } from 'conclave';
import { redis } from 'conclave/redis';
import { marbles, partition, record, simulate } from 'conclave/testing';
import { filter, firstValueFrom } from 'rxjs';

declare const test: (name: string, run: () => unknown) => void;
declare const expect: (value: unknown) => { toBe(expected: unknown): void; toBeInstanceOf(expected: unknown): void };
declare const process: { readonly env: Readonly<Record<string, string>> };

test('leads over memory', async () => {
  const backend = connect('memory:');
  expect(await firstValueFrom(leadership(backend, 'jobs').pipe(filter((leads) => leads)))).toBe(true);
  await backend.close();
});

test('simulates a partition', () =>
  marbles(({ cluster, expectObservable }) => {
    cluster.faults('3s p', { p: partition('a', 20_000) });
    expectObservable(leadership(cluster.backend('a'), 'e'), '^ 15s !').toBe('(ft) 11396ms f', { f: false, t: true });
  }));

test('errors are of the class that is exported', () => {
  const cluster = simulate();
  const held = record(lock(cluster.backend('a'), 'l'), cluster);
  cluster.pass(1_000);
  cluster.partition('a');
  cluster.pass(20_000);
  expect(held.happenings.at(-1)?.value).toBeInstanceOf(LockLost);
});

test('holds a lock over Redis', async () => {
  const backend = redis({ ...hostAndPort(process.env['REDIS_URL'] ?? ''), ttlMs: 1_000 });
  expect(typeof (await firstValueFrom(lock(backend, 'invoice-42'))).token).toBe('bigint');
  await backend.close();
});

function hostAndPort(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}
