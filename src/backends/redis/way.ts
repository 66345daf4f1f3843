import type { ConnectionOptions } from 'node:tls';
import { type Address, addressOf, type NatMap, shown } from './addresses.js';
import type { RedisUrlOptions } from './options.js';
import type { SentinelsGiven } from './sentinels.js';
import type { Dial } from './wire.js';

/** How connections are made: as the options say, or a client that was given. */
export interface Way {
  /** For messages; without the password. */
  readonly address: string;
  readonly username: string | undefined;
  readonly db: number;
  /** What all keys and channels begin with. */
  readonly keyPrefix: string;
  /** Leads to the server, or to the one that is named. */
  readonly dial: Dial;
  /** The nodes that are known from the start, if it is a cluster. */
  readonly cluster?: { readonly nodes: readonly Address[]; readonly natMap: NatMap | undefined };
  /** Who know where the server is. */
  readonly sentinels?: SentinelsGiven;
}

/** What is said to a server by whoever connects. */
export interface Login {
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: ConnectionOptions | undefined;
  readonly db: number;
}

export const SENTINEL_PORT = 26_379;

/** The way that the options say, with a library that connects as it is told. */
export function ownWay(options: Omit<RedisUrlOptions, 'client'>, dialWith: (login: Login) => Dial): Way {
  const { host = 'localhost', port = 6379, db = 0, username, cluster, sentinels } = options;
  const common = { username, db, keyPrefix: '' };
  const login = loginOf(options, db);
  if (cluster !== undefined) {
    const nodes = cluster.map((node) => addressOf(node));
    return { ...common, address: shown(nodes), dial: dialWith(login), cluster: { nodes, natMap: undefined } };
  }
  if (sentinels === undefined) {
    const dial = dialWith(login);
    return { ...common, address: `${host}:${port}`, dial: (wireOptions, to = { host, port }) => dial(wireOptions, to) };
  }
  const { name } = sentinels;
  const nodes = sentinels.nodes.map((node) => addressOf(node, SENTINEL_PORT));
  const dial = dialWith(loginOf(sentinels, 0));
  return {
    ...common,
    address: addressOfMaster(name, nodes),
    dial: dialWith(login),
    sentinels: { name, nodes, natMap: undefined, areOthersSought: true, dial },
  };
}

export function addressOfMaster(name: string, sentinels: readonly Address[]): string {
  return `${name} of the sentinels ${shown(sentinels)}`;
}

function loginOf(options: Pick<RedisUrlOptions, 'username' | 'password' | 'tls'>, db: number): Login {
  const { username, password, tls } = options;
  return { username, password, tls: tls === true ? {} : tls === false ? undefined : tls, db };
}
