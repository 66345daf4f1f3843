import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../../src/connect.js';
import { until } from '../../src/testing/processes/probes.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import type { Direction } from '../../src/testing/servers/tcp-proxy.js';
import { type Mangle, type Mangled, ManglingProxy } from './mangling-proxy.js';
import { Everything, works } from './standing.js';
import { closed } from './support.js';

/** Lifetime of the sessions. */
export const ttlMs = 2_000;
const impatient = { ttlMs, initialBackoffMs: 10, maxBackoffMs: 100, closeTimeoutMs: 300 };
const healedMs = 10_000;

/** Beginnings of replies that promise more than there will ever be, or what is no reply at all. */
const headers: readonly Buffer[] = [
  ...[
    '$2147483647\r\n',
    '*1000000000\r\n',
    '*-5\r\n',
    '$-7\r\n',
    ':x\r\n',
    '+\r\n',
    '-\r\n',
    '-ERR \0\r\n',
    '\r\n\r\n',
  ],
  ...[
    '$5\r\nab',
    '*2\r\n*2\r\n',
    '*1\r\n'.repeat(5_000),
    '>3\r\n',
    '%1\r\n',
    '_\r\n',
    '(1e9\r\n',
    '!9\r\nx',
    '=3\r\nxyz',
  ],
  ...['HTTP/1.1 200 OK\r\n\r\n', 'SSH-2.0-OpenSSH_9\r\n', '<html>', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
]
  .map((text) => Buffer.from(text))
  .concat([
    Buffer.from([0x7f, 0xff, 0xff, 0xff]),
    Buffer.from([0x80, 0x00, 0x00, 0x00]),
    Buffer.from([0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0, 0, 0, 0]),
    Buffer.from([0, 0, 0, 4, 0, 0, 0, 0]),
    Buffer.from([0, 0, 0, 16, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x9b]),
    Buffer.from([0, 0, 0, 37, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]),
    // Settings, an enormous frame, a reset, a goodbye and headers of HTTP/2.
    Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
    Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]),
    Buffer.from([0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2]),
    Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb]),
    Buffer.from([0, 0, 1, 1, 4, 0, 0, 0, 1, 0xff]),
    Buffer.alloc(1_000_000, 0x2a),
  ]);

const rubbishBytes: fc.Arbitrary<Buffer> = fc.oneof(
  fc.constantFrom(...headers),
  fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.array(fc.constantFrom(...headers), { minLength: 2, maxLength: 4 }).map((all) => Buffer.concat(all)),
);

const kinds = fc.oneof(
  rubbishBytes.map((bytes) => (): Mangled => ({ bytes })),
  rubbishBytes.map(
    (bytes) =>
      (chunk: Buffer): Mangled => ({ bytes: Buffer.concat([bytes, chunk]) }),
  ),
  rubbishBytes.map(
    (bytes) =>
      (chunk: Buffer): Mangled => ({ bytes: Buffer.concat([chunk, bytes]) }),
  ),
  fc.nat(1_000).map(
    (at) =>
      (chunk: Buffer): Mangled => ({ bytes: chunk.subarray(0, at % chunk.length) }),
  ),
  fc.nat(1_000).map(
    (at) =>
      (chunk: Buffer): Mangled => ({ bytes: chunk.subarray(0, at % chunk.length), thenCut: true }),
  ),
  fc.constant((chunk: Buffer): Mangled => ({ bytes: Buffer.concat([chunk, chunk]) })),
  fc.tuple(fc.nat(1_000), fc.integer({ min: 1, max: 255 })).map(([at, bits]) => (chunk: Buffer): Mangled => {
    const bytes = Buffer.from(chunk);
    bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ bits;
    return { bytes };
  }),
);

/** Spoils one chunk in so many of one direction. */
const mangling: fc.Arbitrary<Mangle> = fc
  .record({
    direction: fc.constantFrom<Direction>('toClient', 'toClient', 'toServer'),
    each: fc.integer({ min: 1, max: 4 }),
    how: kinds,
  })
  .map(({ direction: mangled, each, how }) => {
    let chunks = 0;
    return (direction, chunk) =>
      direction === mangled && chunk.length > 0 && chunks++ % each === 0 ? how(chunk) : { bytes: chunk };
  });

/** Cases of what may come over the wire instead of replies. The connection is dropped, and all is well when they are back. */
export function rubbishReplies(scheme: string, start: () => Promise<TestServer>): void {
  let server: TestServer;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test('truncated, oversized or spoilt in either direction costs a connection, and heals', async () => {
    await using proxy = await ManglingProxy.start(server.port);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(mangling, async (mangle) => {
        const namespace = `mangled-${++run}`;
        const backend = connect(`${scheme}://127.0.0.1:${proxy.port}`, { ...impatient, namespace });
        using everything = new Everything(backend);
        proxy.mangle = undefined;
        await everything.standing();
        const before = proxy.mangledChunks;
        proxy.mangle = mangle;
        const disturbed = works(backend, 600).catch(() => undefined);
        await until(() => proxy.mangledChunks > before, 3_000, 'something to mangle');
        await disturbed;
        proxy.mangle = undefined;
        proxy.reset();
        await works(backend, healedMs);
        everything.isTyped();
        await closed(backend);
      }),
      { numRuns: 12, interruptAfterTimeLimit: 5_000 },
    );
  }, 60_000);

  test('spoilt while a session is being opened is tried again, until it opens', async () => {
    await using proxy = await ManglingProxy.start(server.port);
    await fc.assert(
      fc.asyncProperty(mangling, async (mangle) => {
        proxy.mangle = mangle;
        const before = proxy.mangledChunks;
        const backend = connect(`${scheme}://127.0.0.1:${proxy.port}`, { ...impatient, namespace: 'opening' });
        using everything = new Everything(backend);
        await until(() => proxy.mangledChunks > before, 3_000, 'something to mangle');
        await works(backend, 300).catch(() => undefined);
        proxy.mangle = undefined;
        proxy.reset();
        await works(backend, healedMs);
        everything.isTyped();
        await closed(backend);
      }),
      { numRuns: 12, interruptAfterTimeLimit: 3_500 },
    );
  }, 60_000);

  test('from something else that answers rubbish never opens a session, and is left alone when closed', async () => {
    await using nobody = await ManglingProxy.start();
    await fc.assert(
      fc.asyncProperty(rubbishBytes, async (bytes) => {
        nobody.mangle = () => ({ bytes });
        const before = nobody.mangledChunks;
        const backend = connect(`${scheme}://127.0.0.1:${nobody.port}`, { ...impatient, namespace: 'nobody' });
        const states: string[] = [];
        using everything = new Everything(backend);
        backend.session$.subscribe({ next: ({ state }) => states.push(state), error: () => undefined });
        // Where the answer ends nothing, the next look at the time does.
        await until(() => nobody.mangledChunks > before, 3_000, 'a question');
        await until(
          () => everything.complaints.length > 0 || everything.untyped.length > 0,
          2 * ttlMs + 1_000,
          'a complaint',
        );
        everything.isTyped();
        expect(states).not.toContain('live');
        await closed(backend);
      }),
      { numRuns: 15, interruptAfterTimeLimit: 3_000 },
    );
  }, 60_000);
}
