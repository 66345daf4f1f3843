import { lastValueFrom } from 'rxjs';
import { expect, test, vi } from 'vitest';
import { memory } from '../../src/backends/memory/index.js';
import { connect } from '../../src/connect.js';
import { closeOnSignals } from '../../src/observables/session/close-on-signals.js';

/** What Node has besides what browsers have. */
const ofNode = ['Buffer', 'process', 'setImmediate', 'clearImmediate', 'global'] as const;

/** Calls it as in a page. The runner itself needs them again at once. */
function inBrowser<T>(call: () => T): T {
  const descriptors = ofNode.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
  for (const name of ofNode) Reflect.deleteProperty(globalThis, name);
  try {
    return call();
  } finally {
    for (const [name, descriptor] of descriptors) if (descriptor) Object.defineProperty(globalThis, name, descriptor);
  }
}

const bytes = Uint8Array.of(1);

test.each([
  ['memory:name?ttlMs=500&tokenBase=3', {}],
  ['redis://user:pass@127.0.0.1:1/3?namespace=shop&waitReplicas=1&trustEmpty=true&client=ioredis', {}],
  ['redis:', { sentinels: { name: 'master', nodes: [{ host: 'a' }], password: 'pass' } }],
  ['rediss://user:pass@127.0.0.1:1', { tls: { ca: 'PEM' } }],
  ['redis-cluster://user:pass@a:7000,b:7001', {}],
  ['etcd://user:pass@a:2379,b:2379?ttlMs=5000', {}],
  ['etcds://a', { tls: { rootCertificate: bytes, privateKey: bytes, certChain: bytes } }],
  ['zookeeper://user:pass@a,b/apps/shop?tickTimeMs=500&keepParents=true&balanced=false', {}],
  ['zookeeper://a', { acl: [{ permissions: 31, scheme: 'auth', id: '' }] }],
])('what %s asks for is looked at without anything that only Node has', async (url, options: object) => {
  await inBrowser(() => connect(url, options)).close();
});

test('where there are no signals, closeOnSignals says so', async () => {
  const backend = memory();
  const closed = inBrowser(() => lastValueFrom(closeOnSignals(backend)));
  await expect(closed).rejects.toMatchObject({
    _tag: 'NotSupported',
    message: 'The memory backend does not support closeOnSignals in browsers.',
  });
  await backend.close();
});

test('where even TextEncoder is missing, as in Jest with jsdom, Node is asked for it', async () => {
  vi.resetModules();
  vi.stubGlobal('TextEncoder', undefined);
  vi.stubGlobal('TextDecoder', undefined);
  Reflect.deleteProperty(globalThis, 'TextEncoder');
  Reflect.deleteProperty(globalThis, 'TextDecoder');
  try {
    const { jsonCodec } = await import('../../src/backends/shared/codec.js');
    expect(jsonCodec.decode(jsonCodec.encode({ grüße: '🙂' }))).toEqual({ grüße: '🙂' });
  } finally {
    vi.unstubAllGlobals();
  }
});
