import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { firstValueFrom, lastValueFrom, Subject, Subscription, takeUntil, timer } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Backend } from '../../../src/backends/backend.js';
import type { ZooKeeperOptions } from '../../../src/backends/zookeeper/index.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { askZooKeeper, startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { Backends, bytes, lockNamed, Stander, untilStanding } from './support.js';

/**
 * A server that was stopped, or slow, may carry out what came over an earlier connection after what came over a later
 * one. Here that is made certain: what was sent is sent once more, in the same session.
 */

let server: TestServer;
let proxy: TcpProxy;
let backends: Backends;
let mine: Backend;
let other: Backend;
/** What opened the session, as the server said it. */
let welcome: Buffer | undefined;

beforeAll(async () => {
  server = await startZooKeeper();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(async () => {
  backends = new Backends();
  await connectBoth();
});
afterEach(async () => {
  await proxy.heal();
  await backends[Symbol.asyncDispose]();
  await proxy.close();
});

async function connectBoth(options: ZooKeeperOptions = {}): Promise<void> {
  proxy = await startProxy({ port: server.port });
  welcome = undefined;
  const stop = proxy.onData((direction, chunk) => {
    if (direction === 'toClient' && chunk.length > 36) {
      welcome = chunk;
      stop();
    }
  });
  mine = backends.connect(proxy.port, options);
  other = backends.connect(server.port, options);
  await firstWithin(mine.session$, ({ state }) => state === 'live', 3_000, 'a session');
}

/** Anew, and through another proxy, so that nothing from before is taken for the welcome. */
async function connectAsCurator(): Promise<void> {
  await backends[Symbol.asyncDispose]();
  await proxy.close();
  await connectBoth({ layout: 'curator' });
}

/** Resolves with the next request that holds `marker`, once it is at the proxy. */
function seen(marker: string, then: () => void = () => undefined): Promise<Buffer> {
  return new Promise((told) => {
    const stop = proxy.onData((direction, chunk) => {
      if (direction !== 'toServer' || !chunk.includes(marker)) return;
      stop();
      then();
      told(packetWith(chunk, marker));
    });
  });
}

/** The same, and loses the answer. */
function unanswered(marker: string): Promise<Buffer> {
  return seen(marker, () => proxy.dropDirection('toClient'));
}

function packetsWith(chunk: Buffer, marker: string): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < chunk.length; at += 4 + chunk.readInt32BE(at)) {
    const packet = chunk.subarray(at, at + 4 + chunk.readInt32BE(at));
    if (packet.includes(marker)) found.push(Buffer.from(packet));
  }
  return found;
}

function packetWith(chunk: Buffer, marker: string): Buffer {
  const [packet] = packetsWith(chunk, marker);
  if (packet === undefined) throw new Error(`no packet holds ${marker}`);
  return packet;
}

async function reconnect(): Promise<void> {
  proxy.resetAll();
  await proxy.heal();
}

/** Sends a request again in the session of `mine`, and resolves when the server has answered it. */
async function arriveLate(request: Buffer): Promise<void> {
  if (welcome === undefined) throw new Error('no session was opened');
  const joining = Buffer.alloc(49);
  joining.writeInt32BE(45, 0);
  joining.writeInt32BE(3_000, 16);
  welcome.copy(joining, 20, 12, 20);
  joining.writeInt32BE(16, 28);
  welcome.copy(joining, 32, 24, 40);
  // Its owner would take the session back.
  proxy.refuse();
  proxy.resetAll();
  const socket = connect({ host: server.host, port: server.port });
  await once(socket, 'connect');
  socket.write(joining);
  expect((await answerOf(socket)).readInt32BE(8), 'the lifetime of the session').toBeGreaterThan(0);
  socket.write(request);
  await answerOf(socket);
  socket.destroy();
  await proxy.heal();
}

async function answerOf(socket: Socket): Promise<Buffer> {
  const [answer] = await once(socket, 'data');
  if (!Buffer.isBuffer(answer)) throw new Error('no bytes');
  return answer;
}

const textAt = async (key: string): Promise<string | undefined> => {
  const cell = await firstValueFrom(other.cell(key));
  return cell && new TextDecoder().decode(cell.value);
};

test('a late copy of a write that was repeated does not undo what another wrote since', async () => {
  await lastValueFrom(other.swap('late', 'any', bytes('before')));
  const sent = unanswered('mine-late');
  const outcome = lastValueFrom(mine.swap('late', 'any', bytes('mine-late')));
  const request = await sent;
  await reconnect();
  expect((await outcome).swapped).toBe(true);
  await lastValueFrom(other.swap('late', 'any', bytes('theirs')));
  await arriveLate(request);
  expect(await textAt('late')).toBe('theirs');
});

test('a late copy of making or deleting a group does not undo what another did since', async () => {
  const roster = { kind: 'group', name: 'late-group' } as const;
  const made = unanswered('late-group');
  const making = lastValueFrom(mine.register(roster));
  const makingRequest = await made;
  await reconnect();
  expect(await making).toBe(true);
  await lastValueFrom(other.unregister(roster));
  await arriveLate(makingRequest);
  expect(await firstValueFrom(other.registered('group'))).not.toContain('late-group');

  await lastValueFrom(other.register(roster));
  const deleted = unanswered('removed');
  const deleting = lastValueFrom(mine.unregister(roster));
  const deletingRequest = await deleted;
  await reconnect();
  expect(await deleting).toBe('removed');
  await lastValueFrom(other.register(roster));
  await arriveLate(deletingRequest);
  expect(await firstValueFrom(other.registered('group'))).toContain('late-group');
});

test('a late copy of entering makes no second entry', async () => {
  const roster = lockNamed('entered once');
  const sent = unanswered('__lock__');
  const holder = new Stander(mine, roster);
  const request = await sent;
  await untilStanding(other, roster, 1);
  await reconnect();
  await holder.untilAdmitted();
  await arriveLate(request);
  expect(await lastValueFrom(other.look(roster))).toHaveLength(1);
});

test('a late copy of entering that was given up meanwhile leaves nobody in line', async () => {
  const roster = lockNamed('given up');
  // It does not even get there in time.
  const sent = seen('__lock__');
  const lost = proxy.swallowNext('toServer', (chunk) => chunk.includes('__lock__'), true);
  const holder = new Stander(mine, roster);
  const request = await sent;
  await lost;
  const left = seen(' left');
  holder.leave();
  await left;
  // Answered after what was asked before.
  await lastValueFrom(mine.look(roster));
  await arriveLate(request);
  expect(await lastValueFrom(other.look(roster))).toEqual([]);
});

test('what keeps late copies of entering from coming to anything is not tidied away', async () => {
  const rosters = Array.from({ length: 13 }, (_, index) => lockNamed(`kept out ${index}`));
  // Somebody else goes on standing there, or there would be nothing to enter.
  for (const roster of rosters) await new Stander(other, roster).untilAdmitted();
  const requests: Buffer[] = [];
  const stop = proxy.onData((direction, chunk) => {
    if (direction !== 'toServer') return;
    const found = packetsWith(chunk, '__lock__');
    if (found.length > 0) proxy.dropDirection('toClient');
    requests.push(...found);
  });
  const standers = rosters.map((roster) => new Stander(mine, roster));
  await expect.poll(() => requests.length, { interval: 5 }).toBe(rosters.length);
  stop();
  await reconnect();
  for (const stander of standers) (await stander.until(({ places }) => places.length > 0)).leave();
  for (const roster of rosters) await untilStanding(other, roster, 1);
  // It tidies up once in a ttl.
  await lastValueFrom(mine.session$.pipe(takeUntil(timer(2 * 3_000))));
  for (const request of requests) await arriveLate(request);
  for (const roster of rosters) expect(await lastValueFrom(other.look(roster))).toHaveLength(1);
});

test('what is kept of writes that were repeated does not pile up', async () => {
  const notes = async (): Promise<number> =>
    (await askZooKeeper(server, 'dump')).split('\n').filter((line) => line.includes('/conclave/writes/')).length;
  const before = await notes();
  for (let round = 0; round < 10; round++) {
    const sent = unanswered(' swapped');
    const written = [0, 1, 2, 3, 4].map((key) => lastValueFrom(mine.swap(`key ${key}`, 'any', bytes(`${round}`))));
    await sent;
    await reconnect();
    await Promise.all(written);
  }
  expect((await notes()) - before).toBeLessThanOrEqual(10);
});

test('a late copy of an update does not bring an outdated payload back', async () => {
  const roster = lockNamed('updated');
  const payload$ = new Subject<Uint8Array>();
  const updated = (text: string): Promise<unknown> =>
    firstWithin(
      other.entries(roster),
      ([entry]) => entry !== undefined && new TextDecoder().decode(entry.payload) === text,
      3_000,
      text,
    );
  const wish = { mode: 'exclusive', permits: 1, payload: bytes('first'), payload$ } as const;
  const stay = new Subscription();
  await new Promise((placed) => stay.add(mine.enter(roster, wish).subscribe(placed)));
  const sent = unanswered('second');
  payload$.next(bytes('second'));
  const request = await sent;
  await reconnect();
  await updated('second');
  payload$.next(bytes('third'));
  await updated('third');
  await arriveLate(request);
  await arriveLate(request);
  expect(await lastValueFrom(other.look(roster))).toMatchObject([{ payload: bytes('third') }]);
  stay.unsubscribe();
});

test('a permit of two folders is taken once though the answer was lost, and a late copy of that takes none', async () => {
  await connectAsCurator();
  const roster = lockNamed('swapped once');
  const first = await new Stander(other, roster, { permits: 2 }).untilAdmitted();
  const sent = unanswered('-lease-');
  const holder = new Stander(mine, roster, { permits: 2, payload: bytes('mine') });
  const request = await sent;
  await reconnect();
  await holder.untilAdmitted();
  const line = await lastValueFrom(other.look(roster));
  expect(line).toMatchObject([{ token: first.token }, { token: holder.token, payload: bytes('mine') }]);
  const next = await new Stander(other, roster, { permits: 2 }).until(({ places }) => places.length > 0);
  expect(next.isAdmitted).toBe(false);
  const leave = holder.places.at(-1)?.leave();
  expect(leave && (await lastValueFrom(leave))).toBe(true);
  await next.untilAdmitted();
  await arriveLate(request);
  expect(await lastValueFrom(other.look(roster))).toMatchObject([{ token: first.token }, { token: next.token }]);
});

test.each(['request', 'answer'])(
  'who leaves while the %s about taking a permit of two folders is lost leaves nothing',
  async (what) => {
    await connectAsCurator();
    const roster = lockNamed('left while swapped');
    const before = [new Stander(other, roster, { permits: 2 }), new Stander(other, roster, { permits: 2 })];
    await Promise.all(before.map((stander) => stander.untilAdmitted()));
    const holder = await new Stander(mine, roster, { permits: 2 }).until(({ places }) => places.length > 0);
    const sent = what === 'request' ? seen('-lease-') : unanswered('-lease-');
    const lost = what === 'request' && proxy.swallowNext('toServer', (chunk) => chunk.includes('-lease-'), true);
    before[0]?.leave();
    const request = await sent;
    await lost;
    holder.leave();
    await reconnect();
    await untilStanding(other, roster, 1);
    await arriveLate(request);
    expect(await lastValueFrom(other.look(roster))).toMatchObject([{ token: before[1]?.token }]);
  },
);

test('a server that was stopped carries out once what waits for it over two connections', async () => {
  const backend = backends.connect(proxy.port, { ttlMs: 10_000, requestTimeoutMs: 700 });
  await new Stander(backend, lockNamed('before')).untilAdmitted();
  const rosters = Array.from({ length: 20 }, (_, index) => lockNamed(`stopped ${index}`));
  server.pause();
  const before = proxy.counters.connectionsAccepted;
  const standers = rosters.map((roster) => new Stander(backend, roster));
  try {
    await expect
      .poll(() => proxy.counters.connectionsAccepted, { timeout: 5_000, interval: 5 })
      .toBeGreaterThan(before);
  } finally {
    server.resume();
  }
  await Promise.all(standers.map((stander) => stander.untilAdmitted()));
  for (const [index, roster] of rosters.entries())
    expect(await lastValueFrom(other.look(roster))).toMatchObject([{ token: standers[index]?.token }]);
});
