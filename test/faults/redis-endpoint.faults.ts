import { describeCells } from './describe-cells.js';
import { endpointCells, type RedisEndpoint, startRedisEndpoint } from './endpoint.js';
import { startBehindEndpoint } from './stores.js';

let endpoint: RedisEndpoint | undefined;

const start = async () => {
  endpoint = await startRedisEndpoint();
  return startBehindEndpoint(endpoint);
};

const started = (): RedisEndpoint => {
  if (endpoint === undefined) throw new Error('the servers have not been started');
  return endpoint;
};

describeCells('redis-endpoint', start, endpointCells(started));
