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
  { username, password, tls }: EtcdUrlOptions,
  { requestTimeoutMs }: Timing,
): Etcd3 {
  made++;
  return new create({
    hosts: host,
    ...(username === undefined ? {} : { auth: { username, password: password ?? '' } }),
    ...(tls === undefined ? {} : { credentials: credentialsOf(tls) }),
    // The request for a token has no deadline of its own otherwise.
    defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + requestTimeoutMs }),
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
