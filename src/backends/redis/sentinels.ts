import type { Redis } from 'ioredis';
import { isUnanswered } from './failures.js';
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

/** The connections to sentinels, over which they tell of a fail-over. */
function sentinelsOf(client: Redis): readonly Redis[] {
  const { connector } = client as unknown as Inner;
  return (connector?.failoverDetector?.sentinels ?? []).map((sentinel) => sentinel.client);
}

/** A sentinel that cannot be reached has others beside it: its errors would be printed; and closing takes no longer for it. */
export function hearSentinels(client: Redis): void {
  for (const sentinel of sentinelsOf(client)) {
    sentinel.on('error', unheard);
    const { connector } = sentinel as unknown as Inner;
    if (connector !== undefined) connector.disconnectTimeout = DISCONNECT_TIMEOUT_MS;
  }
}

/** Makes each connection to a sentinel again that does not answer: nothing else is asked there, so nobody would notice. */
export function exerciseSentinels(client: Redis): void {
  for (const sentinel of sentinelsOf(client))
    if (sentinel.status === 'ready')
      sentinel.ping().catch((cause) => {
        if (isUnanswered(cause) && sentinel.status === 'ready') sentinel.disconnect(true);
      });
}
