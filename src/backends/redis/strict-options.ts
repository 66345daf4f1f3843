import type { RedisOptions as ClientOptions } from 'ioredis';
import type { StoreContext } from '../store.js';

export type StrictOptions = Omit<ClientOptions, 'replyMapping'> & { readonly replyMapping: 'legacy' };

/** How long a socket that is being closed waits for the other side. */
export const DISCONNECT_TIMEOUT_MS = 50;

/** What no client may deviate from: each option keeps a command from being sent twice, late, or under other keys. */
export function strictOptions({ timing }: StoreContext, retryStrategy: () => number | null): StrictOptions {
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    reconnectOnError: null,
    retryStrategy,
    commandTimeout: timing.requestTimeoutMs,
    connectTimeout: timing.requestTimeoutMs,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    // Each connection begins with INFO anyway, to learn which server it leads to.
    enableReadyCheck: false,
    enableAutoPipelining: false,
    disableClientInfo: true,
    monitor: false,
    readOnly: false,
    // A master that sentinels have replaced goes on for seconds as if nothing had happened.
    failoverDetector: true,
    // One that does not answer has others beside it.
    sentinelCommandTimeout: timing.requestTimeoutMs,
    sentinelReconnectStrategy: (attempt) =>
      Math.min(timing.maxBackoffMs, timing.initialBackoffMs * 2 ** Math.min(attempt, 30)),
    keyPrefix: '',
    // With RESP3, a password that the server does not ask for leaves ioredis and the server with different protocols.
    protocol: 2,
    replyMapping: 'legacy',
    stringNumbers: false,
  };
}
