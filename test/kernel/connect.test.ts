import { firstValueFrom, map } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { InvalidOptions } from '../../src/backends/errors.js';
import { memory } from '../../src/backends/memory/index.js';
import { orThrow } from '../../src/backends/shared/or-throw.js';
import { registerScheme } from '../../src/backends/shared/schemes.js';
import { queryOptions } from '../../src/backends/shared/url.js';
import { type ConnectOptions, connect } from '../../src/connect.js';
import { createGroup } from '../../src/observables/groups/create-group.js';
import { groups } from '../../src/observables/groups/groups.js';
import { ManualTime } from '../support/virtual-time.js';

const schemes = ['memory', 'redis', 'rediss', 'redis-cluster', 'rediss-cluster', 'etcd', 'etcds', 'zookeeper'];
const refusal = (url: string, options: ConnectOptions = {}): unknown => {
  try {
    connect(url, options);
    return 'taken';
  } catch (error) {
    return error;
  }
};

describe('connect', () => {
  it.each([
    ['memory:', 'memory'],
    ['memory:name', 'memory'],
    ['redis://127.0.0.1:1', 'redis'],
    ['rediss://127.0.0.1:1/3', 'redis'],
    ['etcd://127.0.0.1:1,127.0.0.1:2', 'etcd'],
    ['etcds://127.0.0.1:1', 'etcd'],
    ['zookeeper://127.0.0.1:1/chroot', 'zookeeper'],
    ['REDIS://127.0.0.1:1', 'redis'],
  ])('makes of %s a backend of %s, and connects to nothing', async (url, name) => {
    const backend = connect(url);
    expect(backend.name).toBe(name);
    expect(backend.characteristics.distributed).toBe(name !== 'memory');
    await backend.close();
  });

  it('throws UnknownScheme, with those that are known', () => {
    expect(refusal('postgres://h')).toMatchObject({ _tag: 'UnknownScheme', scheme: 'postgres', known: schemes });
  });

  it.each(['toString:', 'constructor:', '__proto__:'])('does not know %s', (url) => {
    expect(refusal(url)).toMatchObject({ name: expect.stringMatching(/^(UnknownScheme|InvalidUrl)$/) });
  });

  it('throws InvalidUrl for what is none, without the password', () => {
    const error = refusal('redis://user:secret@h:0');
    expect(error).toMatchObject({ _tag: 'InvalidUrl' });
    expect(String(error)).not.toContain('secret');
  });

  it.each([
    'memory://host',
    'redis://a,b',
    'redis://h/name',
    'etcd://h/path',
    'etcd://:secret@h',
    'zookeeper://[::1]',
    'zookeeper://:secret@h',
  ])('throws InvalidUrl for %s, which its backend cannot take', (url) => {
    const error = refusal(url);
    expect(error).toMatchObject({ _tag: 'InvalidUrl' });
    expect(String(error)).not.toContain('secret');
  });

  it.each([
    ['redis://h/f00', 'its path is "f00" and should be the index of a database, such as /0', 'namespace=f00'],
    ['redis-cluster://h/a b', 'a cluster has no databases', 'namespace=a%20b'],
    ['etcd://h/f00', 'etcd has no path', 'namespace=f00'],
  ])('says what is meant by the path of %s', (url, why, option) => {
    expect(String(refusal(url))).toContain(why);
    expect(String(refusal(url))).toContain(`what keeps fleets apart is the option ?${option}`);
  });

  it.each(schemes)(
    'throws InvalidOptions for options in the query of %s: that are unknown or cannot be read',
    (scheme) => {
      expect(refusal(`${scheme}:?nonsense=1&ttlMs=soon`)).toMatchObject({
        _tag: 'InvalidOptions',
        violations: [expect.stringContaining('nonsense'), expect.stringContaining('ttlMs')],
      });
    },
  );

  it.each(schemes)(
    'throws InvalidOptions for options of %s that contradict each other, wherever they stand',
    (scheme) => {
      const violated = expect.objectContaining({
        _tag: 'InvalidOptions',
        violations: expect.arrayContaining([expect.stringContaining('renewEveryMs (99)')]),
      });
      expect(refusal(`${scheme}:?ttlMs=100&renewEveryMs=99`)).toEqual(violated);
      expect(refusal(`${scheme}:?ttlMs=100`, { renewEveryMs: 99 })).toEqual(violated);
      expect(refusal(`${scheme}:`, { ttlMs: 100, renewEveryMs: 99 })).toEqual(violated);
    },
  );

  it('throws InvalidOptions for options of one backend that are wrong, at the call', () => {
    expect(refusal('redis:', { port: 0 })).toMatchObject({ _tag: 'InvalidOptions' });
    expect(refusal('etcd:', { hosts: [] })).toMatchObject({ _tag: 'InvalidOptions' });
    expect(refusal('zookeeper:', { hosts: [] })).toMatchObject({ _tag: 'InvalidOptions' });
  });

  it('takes what the second argument says over what the URL says, unless it says undefined', () => {
    expect(refusal('memory:?ttlMs=0', { ttlMs: 100 })).toBe('taken');
    expect(refusal('memory:?ttlMs=100', { ttlMs: 0 })).toMatchObject({ _tag: 'InvalidOptions' });
    expect(refusal('memory:?ttlMs=0', { ttlMs: undefined })).toMatchObject({
      violations: expect.arrayContaining(['ttlMs must be a number from 1 to 2147483647, but is 0']),
    });
  });

  it('hands scheduler and codec through', async () => {
    const scheduler = new ManualTime();
    const codec = { encode: () => new Uint8Array(), decode: () => undefined };
    const backend = connect('memory:', { scheduler, codec });
    expect(backend.scheduler).toBe(scheduler);
    expect(backend.codec).toBe(codec);
    await backend.close();
  });
});

describe('connect to memory', () => {
  const ids = (backend: ReturnType<typeof connect>): Promise<string[]> =>
    firstValueFrom(groups(backend).pipe(map((all) => [...all])));

  it('shares a store with those that name the same, and with no others', async () => {
    const [one, same, other, own] = ['memory:x', 'memory:x', 'memory:y', 'memory:'].map((url) => connect(url));
    if (one === undefined || same === undefined || other === undefined || own === undefined) throw new Error();
    await firstValueFrom(createGroup(one, 'g'));
    expect(await ids(same)).toEqual(['g']);
    expect(await ids(other)).toEqual([]);
    expect(await ids(own)).toEqual([]);
    await Promise.all([one, same, other, own].map((backend) => backend.close()));
  });

  it('forgets a named store when the last backend on it is closed, and not before', async () => {
    const [one, two] = [connect('memory:z'), connect('memory:z')];
    await firstValueFrom(createGroup(one, 'g'));
    await one.close();
    await one.close();
    const three = connect('memory:z');
    expect(await ids(three)).toEqual(['g']);
    await Promise.all([two.close(), three.close()]);
    const four = connect('memory:z');
    expect(await ids(four)).toEqual([]);
    await four.close();
  });

  it('keeps namespaces of one store apart', async () => {
    const [a, b] = [connect('memory:n?namespace=a'), connect('memory:n', { namespace: 'b' })];
    await firstValueFrom(createGroup(a, 'g'));
    expect(await ids(b)).toEqual([]);
    await Promise.all([a.close(), b.close()]);
  });

  it('does not count a backend whose options were refused among the users of a store', async () => {
    expect(refusal('memory:leak?ttlMs=0')).toMatchObject({ _tag: 'InvalidOptions' });
    const one = connect('memory:leak');
    await firstValueFrom(createGroup(one, 'g'));
    await one.close();
    const two = connect('memory:leak');
    expect(await ids(two)).toEqual([]);
    await two.close();
  });
});

describe('registerScheme', () => {
  it('teaches connect the scheme of a backend of ones own, with what the URL says taken apart', async () => {
    const seen: unknown[] = [];
    const forget = registerScheme('own-store', (url, options) => {
      seen.push(url.hosts, url.path, url.password, orThrow(queryOptions(url)), options);
      return memory(options);
    });
    const backend = connect('OWN-STORE://user:secret@h:1,h:2/name?ttlMs=5000', { namespace: 'shop' });
    expect(backend.name).toBe('memory');
    const hosts = [
      { host: 'h', port: 1 },
      { host: 'h', port: 2 },
    ];
    expect(seen).toEqual([hosts, 'name', 'secret', { ttlMs: 5_000 }, { namespace: 'shop' }]);
    await backend.close();
    forget();
    expect(refusal('own-store:')).toMatchObject({ _tag: 'UnknownScheme', known: schemes });
  });

  it('is named with those that are known', () => {
    const forget = registerScheme('own-store', () => memory());
    expect(refusal('postgres://h')).toMatchObject({ known: [...schemes, 'own-store'] });
    forget();
  });

  it.each(schemes)('does not let %s be replaced', (scheme) => {
    expect(() => registerScheme(scheme, () => memory())).toThrow(InvalidOptions);
  });

  it('does not take a scheme twice, and forgets only its own', () => {
    const forget = registerScheme('own-store', () => memory());
    expect(() => registerScheme('own-store', () => memory())).toThrow(/own-store: is known already/);
    forget();
    const forgetNext = registerScheme('own-store', () => memory());
    forget();
    expect(refusal('own-store:')).toBe('taken');
    forgetNext();
  });

  it.each([
    ['Own', () => memory()],
    ['', () => memory()],
    ['1a', () => memory()],
    ['a b', () => memory()],
    [undefined, () => memory()],
    ['own', undefined],
  ])('refuses %s with %s', (scheme, connector) => {
    expect(() => registerScheme(scheme as string, connector as () => ReturnType<typeof memory>)).toThrow(
      InvalidOptions,
    );
  });
});
