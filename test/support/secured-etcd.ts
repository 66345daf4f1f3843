import { askHttp } from '../../src/testing/servers/ask.js';
import { etcdServer } from '../../src/testing/servers/etcd.js';
import type { ReservedPorts } from '../../src/testing/servers/ports.js';
import { startServer, type TestServer } from '../../src/testing/servers/server.js';
import type { Certificate } from './certificate.js';

/** An etcd with TLS at `securePort`, and without at `port`. */
export async function startSecuredEtcd(
  ports: ReservedPorts,
  { certFile, keyFile }: Certificate,
): Promise<TestServer & { readonly securePort: number }> {
  const [port, securePort, peerPort] = [await ports.take(), await ports.take(), await ports.take()];
  const url = `http://127.0.0.1:${port}`;
  const urls = `${url},https://127.0.0.1:${securePort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const server = await startServer({
    product: 'etcd',
    needs: [etcdServer],
    url,
    port,
    command: (dataDir) => [
      ...(['etcd', '--data-dir', dataDir, '--cert-file', certFile, '--key-file', keyFile] as const),
      ...['--listen-client-urls', urls, '--advertise-client-urls', urls, '--listen-peer-urls', peerUrl],
      ...['--initial-advertise-peer-urls', peerUrl, '--initial-cluster', `default=${peerUrl}`],
    ],
    answers: async () => (await askHttp(`${url}/health`)).includes('"health":"true"'),
  });
  return Object.assign(server, { securePort });
}
