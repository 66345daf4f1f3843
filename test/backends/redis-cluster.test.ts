import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { firstValueFrom } from 'rxjs';
import { afterAll } from 'vitest';
import { redis } from '../../src/backends/redis/index.js';
import { connect } from '../../src/connect.js';
import { lock } from '../../src/observables/locks/lock.js';
import { backendConformance } from '../../src/testing/conformance/conformance.js';
import type { Link, OwnServer } from '../../src/testing/conformance/quirks.js';
import { linkOver, spawnPeer, unreachable } from '../../src/testing/conformance/remote.js';
import { sessionIdOf } from '../../src/testing/conformance/within-process.js';
import { endRedisSession, startRedisCluster } from '../../src/testing/servers/redis.js';
import { startProxy } from '../../src/testing/servers/tcp-proxy.js';
import { clusterClient } from '../support/redis-client/cluster-client.js';

const cluster = await startRedisCluster();
afterAll(() => cluster[Symbol.asyncDispose]());
// A cluster whose nodes have met just now admits nobody for a ttl, the longest of the suite's here: a case that tries once
// would be told so. So many names lie on every node.
const first = connect(cluster.url, { ttlMs: 3 * 2_000 });
await Promise.all(Array.from({ length: 256 }, (_, at) => firstValueFrom(lock(first, `first ${at}`))));
await first.close();

/** A proxy before each node. The nodes go on naming themselves, so the client translates. */
async function startLink(): Promise<Link> {
  const proxies = await Promise.all(cluster.nodes.map(({ host, port }) => startProxy({ host, port })));
  const natMap = Object.fromEntries(
    proxies.map(({ host, port }, at) => [`${cluster.nodes[at]?.host}:${cluster.nodes[at]?.port}`, { host, port }]),
  );
  return linkOver(proxies, (options) =>
    redis({ ...options, client: clusterClient(Object.values(natMap), { natMap }) }),
  );
}

/**
 * Started again without its data, a node still knows which slots it has.
 * With `everysec`, Redis acknowledges writes that it has not yet handed to the kernel while the disk is busy.
 */
async function startOwnCluster(): Promise<OwnServer> {
  const own = await startRedisCluster({ argsOf: () => ['--appendfsync', 'always'] });
  return {
    connect: (options) => connect(own.url, options),
    stop: async () => {
      await Promise.all(own.nodes.map((node) => node.kill()));
    },
    start: async ({ keepData } = { keepData: true }) => {
      for (const { dataDir } of own.nodes)
        if (!keepData) rmSync(join(dataDir, 'appendonlydir'), { recursive: true, force: true });
      await Promise.all(own.nodes.map((node) => node.start()));
    },
    expire: async (backend) => {
      const id = await sessionIdOf(backend);
      await Promise.all(own.nodes.map((node) => endRedisSession(node, id)));
    },
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  };
}

backendConformance((options) => connect(cluster.url, options), {
  name: 'redis, three masters',
  url: cluster.url,
  ttlMs: 2_000,
  hasOwnClock: true,
  declares: {
    distributed: true,
    fair: true,
    tokensSurviveRestart: true,
    tokensSurviveDataLoss: true,
    consistentFailover: false,
    cells: true,
  },
  startLink,
  unreachable: (options) => unreachable(cluster.url, (url) => connect(url, options)),
  startServer: startOwnCluster,
  startPeer: (options) => spawnPeer({ url: cluster.url }, options),
});
