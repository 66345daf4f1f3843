import type { Redis } from 'ioredis';
import { DISCONNECT_TIMEOUT_MS } from './strict-options.js';

const unheard = (): void => undefined;

/** ioredis hears only the first error of a socket. One that follows, as TLS has them, would end the process. */
export function hearOut({ stream }: Redis): void {
  if (stream !== undefined && !stream.listeners('error').includes(unheard)) stream.on('error', unheard);
}

/** What ioredis keeps to itself. */
interface Inner {
  readonly connector?: {
    disconnectTimeout?: number;
    readonly failoverDetector?: { readonly sentinels?: readonly { readonly client: Redis }[] } | null;
  };
}

/**
 * The connections to sentinels, over which they tell of a fail-over. One that cannot be reached has others beside it: its
 * errors would be printed; and closing takes no longer for it.
 */
export function hearSentinels(client: Redis): void {
  const { connector } = client as unknown as Inner;
  for (const sentinel of connector?.failoverDetector?.sentinels ?? []) {
    sentinel.client.on('error', unheard);
    const inner = sentinel.client as unknown as Inner;
    if (inner.connector !== undefined) inner.connector.disconnectTimeout = DISCONNECT_TIMEOUT_MS;
  }
}
