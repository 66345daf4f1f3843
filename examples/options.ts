import type { ConnectOptions } from 'conclave';

/** Short times, so that a takeover can be watched. What the URL says stays. */
export function optionsFor(url: string): ConnectOptions {
  return {
    failFastMs: 3_000,
    closeTimeoutMs: 1_000,
    ...(!url.includes('ttlMs=') && { ttlMs: 2_000 }),
    ...(!url.includes('namespace=') && { namespace: 'first-run' }),
  };
}
