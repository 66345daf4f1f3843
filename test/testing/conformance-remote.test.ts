import { expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { memory } from '../../src/backends/memory/index.js';
import { remote } from '../../src/testing/conformance/remote.js';
import { startRedis } from '../../src/testing/servers/redis.js';

const declares = {
  distributed: true,
  fair: true,
  tokensSurviveRestart: true,
  tokensSurviveDataLoss: true,
  consistentFailover: false,
  cells: true,
};

/** The URL that a link of `remote` connects to. */
async function through(url: string): Promise<string> {
  const seen: string[] = [];
  const connect = (to: string): Backend => {
    seen.push(to);
    return memory();
  };
  const quirks = remote({ name: 'any', url, ttlMs: 1_000, connect, start: () => startRedis(), declares });
  await using link = await quirks.startLink();
  await link.connect({}).close();
  return seen.join();
}

it.each([
  'any://user:p%40ss@127.0.0.1:PORT/path/2?namespace=shop&ttlMs=5000',
  'any://:secret@127.0.0.1:PORT',
  'any://127.0.0.1:PORT/path',
])('the proxy stands in for the hosts of %s, and changes nothing else', async (form) => {
  const url = await through(form.replaceAll('PORT', '1'));
  expect(url).not.toBe(form.replaceAll('PORT', '1'));
  expect(url.replaceAll(/:\d{4,5}\b/g, ':PORT')).toBe(form);
});

it('each of several hosts gets a proxy of its own', async () => {
  const url = await through('any://user:secret@127.0.0.1:1,127.0.0.1:2/chroot');
  const [, first, second] = /^any:\/\/user:secret@127\.0\.0\.1:(\d+),127\.0\.0\.1:(\d+)\/chroot$/.exec(url) ?? [];
  expect(first).not.toBe(second);
  expect([first, second]).not.toContain(undefined);
});

it('a host without a port is refused, since a proxy needs one', async () => {
  await expect(through('any://127.0.0.1/path')).rejects.toThrow(
    'a proxy is put before 127.0.0.1, so the URL must name its port',
  );
});
