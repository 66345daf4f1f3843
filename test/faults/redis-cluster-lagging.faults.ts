import type { RedisCluster } from '../../src/testing/servers/redis.js';
import { laggingCells } from './cluster-history.js';
import { describeCells } from './describe-cells.js';
import { startMasters } from './stores.js';

let masters: RedisCluster | undefined;

const start = async () => {
  const store = await startMasters(true, true);
  masters = store.masters;
  return store;
};

const started = (): RedisCluster => {
  if (masters === undefined) throw new Error('the servers have not been started');
  return masters;
};

describeCells('redis-cluster-lagging', start, laggingCells(started));
