import type { Etcd3, IOptions } from 'etcd3';
import type { Timing } from '../shared/options.js';
import type { EtcdUrlOptions } from './options.js';

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

/** The default server takes pings more often than every 5 s for an attack, and hangs up. */
const PING_EVERY_MS = 10_000;

/** Trying again is not gRPC's business. */
const CLOSED_TRIES_AFTER_MS = 5;

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
    faultHandling: { host: () => forbearing, global: straight },
    grpcOptions: {
      'grpc.keepalive_time_ms': PING_EVERY_MS,
      'grpc.keepalive_timeout_ms': Math.ceil(requestTimeoutMs),
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      'grpc.service_config_disable_resolution': 1,
      // Whatever was closed after a failure tries once more, when this is over, and what it connects is never closed: the
      // sooner it tries, the surer it fails again.
      'grpc.initial_reconnect_backoff_ms': CLOSED_TRIES_AFTER_MS,
      // Clients with equal options share a socket, the broken one too: this keeps them apart.
      'conclave.connection': made,
    },
  });
}

/** gRPC's states of a channel. */
const READY = 2;
const SHUTDOWN = 4;

/** gRPC's own client, whose channel knows whether it is connected. */
interface WithChannel {
  getChannel(): {
    getConnectivityState(tryToConnect: boolean): number;
    watchConnectivityState(from: number, deadline: Date, done: (error?: Error) => void): void;
  };
}

/** What etcd3 has and does not tell of. */
interface WithPool {
  readonly client: {
    withConnection<T>(service: 'KV', use: (connection: { readonly client: WithChannel }) => T): Promise<T>;
  };
}

/** Whether the client has a connection, as soon as it has one; `false` after so long without, or when it is closed. */
export async function isConnectedWithin({ leaseClient }: Etcd3, ms: number): Promise<boolean> {
  const { client: pool } = leaseClient as unknown as WithPool;
  const connected = (client: WithChannel): Promise<boolean> => {
    // By the clock that gRPC compares it with.
    const deadline = new Date();
    deadline.setMilliseconds(deadline.getMilliseconds() + ms);
    const channel = client.getChannel();
    return new Promise((told) => {
      const look = (error?: Error): void => {
        // A closed channel that is asked to connect does so, and stays. The request that is under way has asked it.
        const state = channel.getConnectivityState(false);
        if (error !== undefined || state === READY || state === SHUTDOWN) told(state === READY);
        else channel.watchConnectivityState(state, deadline, look);
      };
      look();
    });
  };
  // Where there is none because of a failure, the request that is under way fails with it.
  return pool.withConnection('KV', ({ client }) => connected(client)).catch(() => false);
}

type Run = (context: { signal: AbortSignal }) => unknown;

const once = async (run: Run): Promise<unknown> => run({ signal: new AbortController().signal });

/** Calls once and passes on what comes: all that etcd3 asks of a policy from `cockatiel`, which need not be installed. */
const straight = { execute: once } as unknown as Policy;

/**
 * When a call is refused for a full database, or is overdue, etcd3 closes the connection under all the others. It knows
 * such a failure by its class, which is not told here; by the words it finds the same class again, but then closes nothing.
 */
const forbearing = {
  execute: (run: Run) =>
    once(run).catch((cause: unknown) => {
      throw new Error(cause instanceof Error ? cause.message : String(cause));
    }),
} as unknown as Policy;

function credentialsOf(tls: NonNullable<EtcdUrlOptions['tls']>): NonNullable<IOptions['credentials']> {
  const { rootCertificate, privateKey, certChain } = tls;
  return {
    rootCertificate: bytes(rootCertificate),
    ...(privateKey === undefined ? {} : { privateKey: bytes(privateKey) }),
    ...(certChain === undefined ? {} : { certChain: bytes(certChain) }),
  };
}

/** gRPC takes no other view of bytes. */
function bytes({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
