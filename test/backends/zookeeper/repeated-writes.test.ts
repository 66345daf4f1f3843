import { firstValueFrom, lastValueFrom, type Observable } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Backend, Expected, RosterKey } from '../../../src/backends/backend.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { Backends, bytes, lockNamed, Stander, untilStanding } from './support.js';

let server: TestServer;
let proxy: TcpProxy;
let backends: Backends;
let mine: Backend;
let other: Backend;

beforeAll(async () => {
  server = await startZooKeeper();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(async () => {
  proxy = await startProxy({ port: server.port });
  backends = new Backends();
  mine = backends.connect(proxy.port);
  other = backends.connect(server.port);
  await firstWithin(mine.session$, ({ state }) => state === 'live', 3_000, 'a session');
});
afterEach(async () => {
  await proxy.heal();
  await backends[Symbol.asyncDispose]();
  await proxy.close();
});

const group = (name: string): RosterKey => ({ kind: 'group', name });

const swap = (backend: Backend, key: string, expected: Expected, value: string | undefined) =>
  lastValueFrom(backend.swap(key, expected, value === undefined ? undefined : bytes(value)));

const textAt = async (key: string): Promise<string | undefined> => {
  const cell = await firstValueFrom(other.cell(key));
  return cell && new TextDecoder().decode(cell.value);
};

/** Whether a packet to the server changes something: `create`, `delete`, `setData`, `multi`, but not a heartbeat. */
function isChange(chunk: Buffer): boolean {
  for (let at = 0; at + 12 <= chunk.length; at += 4 + chunk.readInt32BE(at)) {
    const packet = chunk.subarray(at, at + 4 + chunk.readInt32BE(at));
    if ([1, 2, 5, 14].includes(packet.readInt32BE(8)) && !packet.includes('/heartbeat')) return true;
  }
  return false;
}

/** Carries out `write`, loses its answer, lets `meanwhile` happen once it is `done`, and tells how the repeated write came out. */
async function repeated<T>(
  write: Observable<T>,
  done: () => Promise<unknown>,
  meanwhile: () => Promise<unknown>,
): Promise<T> {
  const stop = proxy.onData((direction, chunk) => {
    if (direction === 'toServer' && isChange(chunk)) proxy.dropDirection('toClient');
  });
  const outcome = lastValueFrom(write);
  // If the rest fails, that is told.
  outcome.catch(() => undefined);
  await done();
  await meanwhile();
  stop();
  proxy.resetAll();
  await proxy.heal();
  return outcome;
}

const untilValue = (key: string, value: string | undefined) => (): Promise<unknown> =>
  firstWithin(
    other.cell(key),
    (cell) => (cell && new TextDecoder().decode(cell.value)) === value,
    2_500,
    `${key} = ${value}`,
  );

describe('a write that was repeated since its answer was lost', () => {
  test('does not undo what another wrote meanwhile', async () => {
    // Warm, so that the write is one transaction.
    await swap(mine, 'undone', 'any', 'before');
    const outcome = await repeated(mine.swap('undone', 'any', bytes('mine')), untilValue('undone', 'mine'), () =>
      swap(other, 'undone', 'any', 'theirs'),
    );
    expect(outcome.swapped).toBe(true);
    expect(await textAt('undone')).toBe('theirs');
  });

  test('knows a cell for its own that was overwritten since, or deleted', async () => {
    for (const value of ['theirs', undefined]) {
      const key = `made, then ${value}`;
      const outcome = await repeated(mine.swap(key, 'absent', bytes('mine')), untilValue(key, 'mine'), () =>
        swap(other, key, 'any', value),
      );
      expect(outcome.swapped).toBe(true);
      expect(await textAt(key)).toBe(value);
    }
  });

  test('has swapped also where the version has moved on', async () => {
    const { current } = await swap(other, 'compared', 'any', 'before');
    const outcome = await repeated(
      mine.swap('compared', current?.version ?? 0n, bytes('mine')),
      untilValue('compared', 'mine'),
      () => swap(other, 'compared', 'any', 'theirs'),
    );
    expect(outcome.swapped).toBe(true);
    expect(await textAt('compared')).toBe('theirs');
  });

  test('does not delete again what another has made anew', async () => {
    const first = await swap(other, 'deleted', 'any', 'before');
    for (const expected of ['any', first.current?.version ?? 0n]) {
      const { current } = await swap(other, 'deleted', 'any', 'before');
      const outcome = await repeated(
        mine.swap('deleted', expected === 'any' ? expected : (current?.version ?? 0n), undefined),
        untilValue('deleted', undefined),
        () => swap(other, 'deleted', 'absent', 'theirs'),
      );
      expect(outcome.swapped).toBe(true);
      expect(await textAt('deleted')).toBe('theirs');
    }
  });

  test('was the one that took an entry out', async () => {
    const roster = lockNamed('broken');
    const holder = await new Stander(other, roster).untilAdmitted();
    const [id = ''] = await untilStanding(other, roster, 1);
    const outcome = await repeated(
      mine.evict(roster, id),
      () => untilStanding(other, roster, 0),
      async () => undefined,
    );
    expect(outcome).toBe(true);
    expect(holder.error).toMatchObject({ name: 'PlaceLost', reason: 'evicted' });
  });

  test('was the one that made a group, also where it was deleted since', async () => {
    const roster = group('made');
    const there = (is: boolean) => () =>
      firstWithin(other.registered('group'), (names) => names.has('made') === is, 2_500, `made: ${is}`);
    const outcome = await repeated(mine.register(roster), there(true), () => lastValueFrom(other.unregister(roster)));
    expect(outcome).toBe(true);
    await there(false)();
  });

  test('does not delete the group that another made meanwhile', async () => {
    const roster = group('deleted');
    await lastValueFrom(other.register(roster));
    const outcome = await repeated(
      mine.unregister(roster),
      () => firstWithin(other.registered('group'), (names) => !names.has('deleted'), 2_500, 'its end'),
      () => lastValueFrom(other.register(roster)),
    );
    expect(outcome).toBe('removed');
    expect(await firstValueFrom(other.registered('group'))).toContain('deleted');
  });
});
