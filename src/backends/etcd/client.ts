import type { Etcd3, IOptions } from 'etcd3';
import type { Timing } from '../options.js';
import type { EtcdUrlOptions } from './options.js';

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

/** The default server takes pings more often than every 5 s for an attack, and hangs up. */
const PING_EVERY_MS = 10_000;

let made = 0;

/** A client of one member. Retrying, and which member comes next, is not its business. */
export function newClient(
  create: new (options: IOptions) => Etcd3,
  host: string,
  { tls }: EtcdUrlOptions,
  { requestTimeoutMs }: Timing,
): Etcd3 {
  made++;
  return new create({
    hosts: host,
    ...(tls === undefined ? {} : { credentials: credentialsOf(tls) }),
    faultHandling: { host: () => straight, global: straight },
    grpcOptions: {
      'grpc.keepalive_time_ms': PING_EVERY_MS,
      'grpc.keepalive_timeout_ms': Math.ceil(requestTimeoutMs),
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      'grpc.service_config_disable_resolution': 1,
      // Clients with equal options share a socket, the broken one too: this keeps them apart.
      'conclave.connection': made,
    },
  });
}

/** gRPC's own client, which knows whether it is connected. */
interface Connectable {
  waitForReady(deadline: Date, done: (error?: Error) => void): void;
}

/** What etcd3 has and does not tell of. */
interface WithPool {
  readonly client: {
    withConnection<T>(service: 'KV', use: (connection: { readonly client: Connectable }) => T): Promise<T>;
  };
}

/** Whether the client has a connection, as soon as it has one; `false` after so long without. */
export async function isConnectedWithin({ leaseClient }: Etcd3, ms: number): Promise<boolean> {
  const { client: pool } = leaseClient as unknown as WithPool;
  const connected = (client: Connectable): Promise<boolean> => {
    // By the clock that gRPC compares it with.
    const deadline = new Date();
    deadline.setMilliseconds(deadline.getMilliseconds() + ms);
    return new Promise((told) => client.waitForReady(deadline, (error) => told(error === undefined)));
  };
  // Where there is none because of a failure, the request that is under way fails with it.
  return pool.withConnection('KV', ({ client }) => connected(client)).catch(() => false);
}

/** Calls once and passes on what comes: all that etcd3 asks of a policy from `cockatiel`, which need not be installed. */
const straight = {
  execute: async (run: (context: { signal: AbortSignal }) => unknown) => run({ signal: new AbortController().signal }),
} as unknown as Policy;

function credentialsOf(tls: NonNullable<EtcdUrlOptions['tls']>): NonNullable<IOptions['credentials']> {
  const { rootCertificate, privateKey, certChain } = tls;
  return {
    rootCertificate,
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(certChain === undefined ? {} : { certChain }),
  };
}
