import { map, switchMap } from 'rxjs';
import { objectWith } from '../shared/expectations.js';
import { type Address, addressOf, type NatMap, shown } from './addresses.js';
import { type MakeNodeRedis, type NodeRedisOptions, nodeRedis$, nodeRedisDial } from './node-redis.js';
import { isClusterClient } from './options.js';
import type { Way } from './way.js';

/** A client of `createClient`. */
export interface NodeRedisModel {
  readonly options: NodeRedisOptions;
  readonly duplicate: MakeNodeRedis;
}

/** A client of `createCluster`. */
export interface NodeRedisClusterModel {
  readonly _options: {
    readonly rootNodes: readonly NodeRedisOptions[];
    readonly defaults?: NodeRedisOptions;
    readonly keyPrefix?: string | Buffer;
    readonly nodeAddressMap?: NatMap;
  };
}

export function isNodeRedis(client: object): client is NodeRedisModel {
  return 'duplicate' in client && 'options' in client && objectWith()[1](client.options);
}

export function isNodeRedisCluster(client: object): client is NodeRedisClusterModel {
  return !('isCluster' in client) && isClusterClient(client);
}

/** The way of a client of one server, and what of its options cannot be used. */
export function givenNodeRedis(model: NodeRedisModel): [Way, violations: string[]] {
  const isForReading = model.options.readonly === true;
  return [wayOfClient(model), isForReading ? ['client must be able to write, but its readonly is true'] : []];
}

function wayOfClient(model: NodeRedisModel): Way {
  const { options, duplicate } = model;
  const { username, database = 0, keyPrefix, socket = {} } = options;
  const { path, host = 'localhost', port = 6379 } = socket;
  return {
    address: path ?? `${host}:${port}`,
    username,
    db: database,
    keyPrefix: textOf(keyPrefix),
    dial: nodeRedisDial((strict) => duplicate.call(model, strict), options),
  };
}

/** The way of a client of a cluster, to each node with the defaults for nodes; and what of its options cannot be used. */
export function givenNodeRedisCluster(model: NodeRedisClusterModel): [Way, violations: string[]] {
  const { rootNodes, defaults } = model._options;
  const isLoginLost = rootNodes.some(hasLogin) && !(defaults !== undefined && hasLogin(defaults));
  const violation =
    'client must have the login to its cluster in defaults, which are for all nodes, not in a root node';
  return [wayOfClusterClient(model), isLoginLost ? [violation] : []];
}

function wayOfClusterClient({ _options }: NodeRedisClusterModel): Way {
  const { rootNodes, defaults = {}, keyPrefix, nodeAddressMap } = _options;
  const nodes = rootNodes.map(addressOfNode);
  return {
    address: shown(nodes),
    username: defaults.username,
    db: defaults.database ?? 0,
    keyPrefix: textOf(keyPrefix),
    dial: (options, to) =>
      nodeRedis$.pipe(
        map((make) => nodeRedisDial(make, defaults)),
        switchMap((dial) => dial(options, to)),
      ),
    cluster: { nodes, natMap: nodeAddressMap },
  };
}

function addressOfNode({ url, socket }: NodeRedisOptions): Address {
  const { hostname = '', port = '' } = url === undefined ? {} : new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '') || socket?.host || 'localhost';
  return addressOf({ host, port: port === '' ? socket?.port : Number(port) });
}

function hasLogin({ url, username, password, credentialsProvider, socket }: NodeRedisOptions): boolean {
  const said = url === undefined ? undefined : new URL(url);
  return [
    username ?? '',
    password ?? '',
    credentialsProvider ?? '',
    socket?.tls === true || said?.protocol === 'rediss:' ? 'tls' : '',
    said?.username ?? '',
    said?.password ?? '',
  ].some((each) => each !== '');
}

function textOf(prefix: string | Buffer | undefined): string {
  return prefix === undefined ? '' : String(prefix);
}
