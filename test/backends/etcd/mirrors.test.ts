import { Etcd3 } from 'etcd3';
import { lastValueFrom, ReplaySubject } from 'rxjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Entry } from '../../../src/backends/backend.js';
import { members } from '../../../src/observables/groups/members.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { difference, etcdCounts } from '../../support/counters.js';
import { Backends, live, openSession, PausedWatches } from './support.js';

let server: TestServer;
let client: Etcd3;

beforeAll(async () => {
  server = await startEtcd();
  client = new Etcd3({ hosts: `127.0.0.1:${server.port}` });
});
afterAll(async () => {
  client.close();
  await server[Symbol.asyncDispose]();
});

const group = (name: string) => ({ kind: 'group', name }) as const;
const keyOf = (name: string, id: string): string => `conclave/groups/${name}/${id}`;
const enter = (name: string, id: string): Promise<unknown> => client.put(keyOf(name, id)).value('').exec();
const leave = (name: string, id: string): Promise<unknown> => client.delete().key(keyOf(name, id)).exec();

type Line = readonly Entry[];
const idsOf = (line: Line): string => line.map(({ id }) => id).join();
const consistsOf = (ids: string) => (line: Line) => idsOf(line) === ids;

/** Follows from now on, and keeps what is told. */
function following(entries$: ReturnType<Awaited<ReturnType<typeof openSession>>['entries']>) {
  const told$ = new ReplaySubject<Line>();
  const lines: Line[] = [];
  // The end of the session ends it, with an error that is told to whoever still waits for something.
  told$.subscribe({ next: (line) => lines.push(line), error: () => undefined });
  const subscription = entries$.subscribe(told$);
  const now = (ids: string): Promise<Line> => firstWithin(told$, consistsOf(ids), 5_000, `the line ${ids}`);
  return { lines, now, stop: () => subscription.unsubscribe() };
}

const ranges = async (): Promise<number> => (await etcdCounts(server.url))['KV/Range'] ?? 0;

/** As many ranges were read since. */
async function rangesSince(before: number, count: number): Promise<void> {
  await expect.poll(async () => (await ranges()) - before, { timeout: 5_000, interval: 10 }).toBe(count);
}

test('twenty who look at one group over one connection share one watch and one reading', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port, { ttlMs: 20_000 });
  await live(backend);
  await enter('twenty', 'a');
  const before = await etcdCounts(server.url);
  const told: unknown[] = [];
  const subscriptions = Array.from({ length: 20 }, () => members(backend, 'twenty').subscribe((set) => told.push(set)));
  await expect.poll(() => told.length, { timeout: 5_000 }).toBe(20);
  const after = difference(before, await etcdCounts(server.url));
  expect([after['Watch/Watch'], after['KV/Range']]).toEqual([1, 1]);
  for (const subscription of subscriptions) subscription.unsubscribe();
});

test('the watch ends with the last who looks, and not before; who comes then begins another', async () => {
  await using session = await openSession({ hosts: `127.0.0.1:${server.port}` });
  const [first, second] = [following(session.entries(group('last'))), following(session.entries(group('last')))];
  await Promise.all([first.now(''), second.now('')]);
  const before = await etcdCounts(server.url);
  first.stop();
  await enter('last', 'a');
  await second.now('a');
  expect(difference(before, await etcdCounts(server.url))['Watch/Watch']).toBeUndefined();
  expect(idsOf(first.lines.at(-1) ?? [])).toBe('');
  second.stop();
  await expect
    .poll(async () => difference(before, await etcdCounts(server.url))['Watch/Watch'], { timeout: 5_000 })
    .toBe(1);
  await enter('last', 'b');
  await following(session.entries(group('last'))).now('a,b');
});

test('who is ended by another, while both are being told, keeps no watch', async () => {
  await using session = await openSession({ hosts: `127.0.0.1:${server.port}` });
  const second$ = new ReplaySubject<void>();
  const first = session.entries(group('ended')).subscribe((line) => {
    if (line.length === 0) return;
    second.stop();
    second$.next();
  });
  const second = following(session.entries(group('ended')));
  await second.now('');
  const before = await etcdCounts(server.url);
  await enter('ended', 'a');
  await firstWithin(second$, () => true, 5_000, 'the end of the second');
  first.unsubscribe();
  await expect
    .poll(async () => difference(before, await etcdCounts(server.url))['Watch/Watch'], { timeout: 5_000 })
    .toBe(1);
});

test('who comes later is never told of what was before: neither of who had left, nor without who had come', async () => {
  using paused = new PausedWatches(server.port);
  await using session = await openSession({ client: paused.client });
  await enter('later', 'a');
  await enter('later', 'b');
  const early = following(session.entries(group('later')));
  await early.now('a,b');
  paused.pause();
  await leave('later', 'a');
  let before = await ranges();
  const [afterLeave, alike] = [following(session.entries(group('later'))), following(session.entries(group('later')))];
  const looked = lastValueFrom(session.look(group('later')));
  // All three ask once.
  await rangesSince(before, 1);
  paused.resume();
  await Promise.all([afterLeave.now('b'), alike.now('b')]);
  expect(idsOf(await looked)).toBe('b');
  paused.pause();
  await enter('later', 'c');
  before = await ranges();
  const afterEnter = following(session.entries(group('later')));
  await rangesSince(before, 1);
  paused.resume();
  await Promise.all([early, afterLeave, alike, afterEnter].map(({ now }) => now('b,c')));
  expect([early, afterLeave, alike, afterEnter].map(({ lines }) => lines.map(idsOf))).toEqual([
    ['a,b', 'b', 'b,c'],
    ['b', 'b,c'],
    ['b', 'b,c'],
    ['b,c'],
  ]);
  paused.pause();
  // As many as before.
  await leave('later', 'b');
  await enter('later', 'd');
  before = await ranges();
  const afterBoth = following(session.entries(group('later')));
  await rangesSince(before, 1);
  paused.resume();
  await afterBoth.now('c,d');
  expect(afterBoth.lines.map(idsOf)).toEqual(['c,d']);
});

test('who comes later is told at once where nothing has changed, also beside keys that are no names', async () => {
  await using session = await openSession({ hosts: `127.0.0.1:${server.port}` });
  await enter('calm', 'a');
  for (const odd of [0xfe, 0xff])
    await client.put(Buffer.concat([Buffer.from(keyOf('calm', '')), Buffer.of(odd)])).value('');
  await enter('calm/deeper', 'x');
  await following(session.entries(group('calm'))).now('a');
  // The store has gone on, without any event for those who look.
  await enter('elsewhere', 'x');
  const later = following(session.entries(group('calm')));
  await later.now('a');
  expect(later.lines.map(idsOf)).toEqual(['a']);
});

test('what has come at once is told at once: many who join are a handful of sets', async () => {
  using paused = new PausedWatches(server.port);
  await using session = await openSession({ client: paused.client });
  const watcher = following(session.entries(group('burst')));
  await watcher.now('');
  const first = watcher.lines[0];
  paused.pause();
  const ids = Array.from({ length: 200 }, (_, i) => String(i).padStart(3, '0'));
  for (const id of ids) await enter('burst', id);
  paused.resume();
  await watcher.now(ids.join());
  expect(watcher.lines.length).toBeLessThan(20);
  // What was told stays as it was.
  expect(first).toEqual([]);
});
