import { expect, it } from 'vitest';
import { NotSupported } from '../../../src/backends/errors.js';
import { askHttp } from '../../../src/testing/servers/ask.js';
import { etcdServer, startEtcd } from '../../../src/testing/servers/etcd.js';
import { ReservedPorts } from '../../../src/testing/servers/ports.js';
import { startServer } from '../../../src/testing/servers/server.js';
import { Backends, lock, Stay } from './support.js';

it('refuses a proxy that renews leases on its own account, and says so', async () => {
  await using server = await startEtcd();
  using ports = new ReservedPorts();
  const port = await ports.take();
  await using proxy = await startServer({
    product: 'etcd grpc-proxy',
    needs: [etcdServer],
    url: `etcd://127.0.0.1:${port}`,
    port,
    command: () => [
      ...(['etcd', 'grpc-proxy', 'start', '--endpoints', `127.0.0.1:${server.port}`] as const),
      ...['--listen-addr', `127.0.0.1:${port}`],
    ],
    answers: async () => (await askHttp(`http://127.0.0.1:${port}/health`)).includes('"health":"true"'),
  });
  await using backends = new Backends();
  const failure = await new Stay(backends.make(proxy.port), lock('a')).failure();
  expect(failure).toBeInstanceOf(NotSupported);
  for (const word of [`127.0.0.1:${port}`, 'grpc-proxy', 'Connect to the members themselves'])
    expect(String(failure)).toContain(word);
});
