import { sentinelCells } from './clusters.js';
import { describeCells } from './describe-cells.js';
import type { RedisReplication } from './redis-replication.js';
import { startSentinel } from './stores.js';

let replication: RedisReplication | undefined;

const start = async () => {
  const store = await startSentinel();
  replication = store.replication;
  return store;
};

const started = (): RedisReplication => {
  if (replication === undefined) throw new Error('the servers have not been started');
  return replication;
};

describeCells('redis-sentinel', start, sentinelCells(started));
