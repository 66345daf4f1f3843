import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Backend, Mode } from '../../../src/backends/backend.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { figuresOf, OtherClient, overlaps } from './other-client.js';
import { ourRounds, theirRounds } from './rounds.js';
import { Backends, lockNamed, Stander, untilStanding } from './support.js';

let server: TestServer;
let kazoo: OtherClient;
let backends: Backends;

const program = `
import queue, sys, threading, time
from kazoo.client import KazooClient
from kazoo.recipe.lock import ReadLock
zk = KazooClient(sys.argv[1], timeout=4)
zk.start()

def say(*words): sys.stdout.write(' '.join(map(str, words)) + '\\n'); sys.stdout.flush()

class LaterReadLock(ReadLock):
    # As later versions of kazoo have it: that of 2.8 waits for writers that came after it as well (kazoo #649).
    def _get_predecessor(self, node):
        before = [c for c in self.client.get_children(self.path)
                  if self._contenders_re.search(c) and c[-10:] < node[-10:]]
        return max(before, key=lambda c: c[-10:], default=None)

def make(kind, path, extra=()):
    path = '/conclave/locks/' + path
    return LaterReadLock(zk, path) if kind == 'LaterReadLock' else getattr(zk, kind)(path, extra_lock_patterns=extra)

def work(who, lines):
    lock = None
    for verb, *words in iter(lines.get, None):
        if verb == 'lock': lock = make(*words[:2], extra=words[2:]); say(who, 'ready')
        elif verb == 'acquire': lock.acquire(); say(who, 'acquired')
        elif verb == 'try': say(who, lock.acquire(blocking=False))
        elif verb == 'release': lock.release(); say(who, 'released')
        elif verb == 'rounds':
            for _ in range(int(words[0])):
                asked = time.monotonic_ns(); lock.acquire()
                held = time.monotonic_ns(); time.sleep(0.002)
                until = time.monotonic_ns(); lock.release()
                say(who, asked, held, until)

known = {}
for line in sys.stdin:
    who, *words = line.split()
    if who not in known:
        known[who] = queue.Queue()
        threading.Thread(target=work, args=(who, known[who]), daemon=True).start()
    known[who].put(words)
zk.stop()
`;

beforeAll(async () => {
  server = await startZooKeeper();
  kazoo = new OtherClient('/usr/bin/python3', ['-c', program, `127.0.0.1:${server.port}`]);
});
afterAll(async () => {
  await kazoo[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});
beforeEach(() => {
  backends = new Backends();
});
afterEach(() => backends[Symbol.asyncDispose]());

let made = 0;

/** A lock of kazoo's under a name of its own. */
async function another(
  kind: 'Lock' | 'ReadLock' | 'LaterReadLock' | 'WriteLock',
  name: string,
  ...patterns: string[]
): Promise<string> {
  made += 1;
  const who = `${kind}-${made}`;
  expect(await kazoo.ask(who, ['lock', kind, name, ...patterns].join(' '))).toBe('ready');
  return who;
}

const inLine = (backend: Backend, name: string, shared: boolean): Promise<Stander> =>
  new Stander(backend, lockNamed(name), { shared }).until(({ places }) => places.length > 0);

describe('exclusive', () => {
  test.each(['Lock', 'WriteLock'] as const)('kazoo %s waits for our lock, and we for it', async (kind) => {
    const backend = backends.connect(server.port);
    const name = `exclusive-${kind}`;
    const other = await another(kind, name);
    const holder = await new Stander(backend, lockNamed(name)).untilAdmitted();
    expect(await kazoo.ask(other, 'try')).toBe('False');
    kazoo.say(other, 'acquire');
    await untilStanding(backend, lockNamed(name), 2);
    expect(kazoo.hasAnswered(other)).toBe(false);
    holder.leave();
    expect(await kazoo.next(other)).toBe('acquired');
    const waiter = await inLine(backend, name, false);
    expect(waiter.isAdmitted).toBe(false);
    expect(await kazoo.ask(other, 'release')).toBe('released');
    await waiter.untilAdmitted();
  });
});

test('kazoo Lock with extra_lock_patterns joins a line in the layout of Curator', async () => {
  const backend = backends.connect(server.port, { layout: 'curator' });
  const other = await another('Lock', 'joined', '-lock-');
  const holder = await new Stander(backend, lockNamed('joined')).untilAdmitted();
  expect(await kazoo.ask(other, 'try')).toBe('False');
  kazoo.say(other, 'acquire');
  await untilStanding(backend, lockNamed('joined'), 2);
  holder.leave();
  expect(await kazoo.next(other)).toBe('acquired');
  const waiter = await inLine(backend, 'joined', false);
  expect(waiter.isAdmitted).toBe(false);
  expect(await kazoo.ask(other, 'release')).toBe('released');
  await waiter.untilAdmitted();
});

describe('readers and writers', () => {
  test('our reader stands beside kazoo ReadLock, and holds kazoo WriteLock back', async () => {
    const backend = backends.connect(server.port);
    const [reading, writing] = [await another('ReadLock', 'beside'), await another('WriteLock', 'beside')];
    const reader = await new Stander(backend, lockNamed('beside'), { shared: true }).untilAdmitted();
    expect(await kazoo.ask(reading, 'try')).toBe('True');
    expect(await kazoo.ask(writing, 'try')).toBe('False');
    kazoo.say(writing, 'acquire');
    await untilStanding(backend, lockNamed('beside'), 3);
    reader.leave();
    await untilStanding(backend, lockNamed('beside'), 2);
    expect(kazoo.hasAnswered(writing)).toBe(false);
    expect(await kazoo.ask(reading, 'release')).toBe('released');
    expect(await kazoo.next(writing)).toBe('acquired');
    expect(await kazoo.ask(writing, 'release')).toBe('released');
  });

  test('our writer waits for kazoo ReadLock, and holds a later one back', async () => {
    const backend = backends.connect(server.port);
    const [first, later] = [await another('ReadLock', 'behind'), await another('ReadLock', 'behind')];
    expect(await kazoo.ask(first, 'acquire')).toBe('acquired');
    const writer = await inLine(backend, 'behind', false);
    expect(await kazoo.ask(later, 'try')).toBe('False');
    kazoo.say(later, 'acquire');
    const reader = await inLine(backend, 'behind', true);
    await untilStanding(backend, lockNamed('behind'), 4);
    expect([writer.isAdmitted, reader.isAdmitted, kazoo.hasAnswered(later)]).toEqual([false, false, false]);
    expect(await kazoo.ask(first, 'release')).toBe('released');
    await writer.untilAdmitted();
    expect([reader.isAdmitted, kazoo.hasAnswered(later)]).toEqual([false, false]);
    writer.leave();
    await reader.untilAdmitted();
    expect(await kazoo.next(later)).toBe('acquired');
    expect(await kazoo.ask(later, 'release')).toBe('released');
  });

  test('kazoo WriteLock waits for our reader, and holds our later one back', async () => {
    const backend = backends.connect(server.port);
    const first = await new Stander(backend, lockNamed('held'), { shared: true }).untilAdmitted();
    const writer = await another('WriteLock', 'held');
    kazoo.say(writer, 'acquire');
    await untilStanding(backend, lockNamed('held'), 2);
    const later = await inLine(backend, 'held', true);
    expect([later.isAdmitted, kazoo.hasAnswered(writer)]).toEqual([false, false]);
    first.leave();
    expect(await kazoo.next(writer)).toBe('acquired');
    expect(later.isAdmitted).toBe(false);
    expect(await kazoo.ask(writer, 'release')).toBe('released');
    await later.untilAdmitted();
  });

  test('4 of kazoo and 4 of ours, mixed: no writer beside anybody, and nobody starves', async () => {
    const rounds = 60;
    const kinds = ['LaterReadLock', 'WriteLock', 'LaterReadLock', 'WriteLock'] as const;
    const theirs = await Promise.all(kinds.map((kind) => another(kind, 'mixed')));
    const backend = backends.connect(server.port);
    const modeOf = (kind: string): Mode => (kind === 'WriteLock' ? 'exclusive' : 'shared');
    const all = await Promise.all([
      ...kinds.map((kind, i) => theirRounds(kazoo, theirs[i] ?? '', { rounds, mode: modeOf(kind) })),
      ...kinds.map((kind) => ourRounds(backend, lockNamed('mixed'), { rounds, mode: modeOf(kind) })),
    ]);
    const held = all.flat();
    console.log(`kazoo and conclave, mixed: ${figuresOf(held)}`);
    expect(overlaps(held)).toEqual([]);
    expect(held).toHaveLength(2 * kinds.length * rounds);
  });
});
