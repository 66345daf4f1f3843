import { firstValueFrom } from 'rxjs';
import { expect, it, vi } from 'vitest';
import { loadClient, rethrow } from '../../src/backends/shared/load-client.js';
import { etcdStore, redisStores, zookeeperStore } from '../../src/backends/shared/not-in-browsers.js';

const failing = (error: unknown): Promise<unknown> =>
  firstValueFrom(loadClient('client', 'store', () => Promise.reject(error))).catch((reason: unknown) => reason);

it('loads at each subscription, and not before', async () => {
  const load = vi.fn(async () => 'module');
  const client$ = loadClient('client', 'store', load);
  expect(load).not.toHaveBeenCalled();
  await expect(firstValueFrom(client$)).resolves.toBe('module');
  await expect(firstValueFrom(client$)).resolves.toBe('module');
  expect(load).toHaveBeenCalledTimes(2);
});

it.each(['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'])('tells what is to be installed at %s', async (code) => {
  const cause = Object.assign(new Error('Cannot find package'), { code });
  expect(await failing(cause)).toMatchObject({
    _tag: 'MissingPackage',
    packageName: 'client',
    backend: 'store',
    cause,
    message: expect.stringContaining('npm install client'),
  });
});

it('tells what is to be installed where a bundler has put an error in the place of the package', async () => {
  const cause = new Error('Could not resolve "client" imported by "conclave". Is it installed?');
  expect(await failing(cause)).toMatchObject({ _tag: 'MissingPackage', packageName: 'client', cause });
  const other = new Error('it broke: Could not resolve "client"');
  expect(await failing(other)).toBe(other);
});

it('says what an import has failed of, as if nobody had handled it', () => {
  const cause = new Error('no access');
  expect(() => rethrow(cause)).toThrow(cause);
});

it.each([
  ['redis', redisStores],
  ['etcd', etcdStore],
  ['zookeeper', zookeeperStore],
])('in the place of %s there is in browsers what says that it is not supported there', (backend, open) => {
  expect(open).toThrow(expect.objectContaining({ _tag: 'NotSupported', backend, feature: 'browsers' }));
});

it.each([
  new Error('it broke while it was loaded'),
  Object.assign(new Error('no access'), { code: 'EACCES' }),
  { code: 'MODULE_NOT_FOUND' },
  'text',
  undefined,
])('passes whatever else goes wrong: %o', async (error) => {
  expect(await failing(error)).toBe(error);
});
