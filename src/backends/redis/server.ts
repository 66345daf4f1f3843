import type { StoreContext } from '../store.js';

/** What is known of the server that a connection leads to. A server that was started again is another one. */
export interface Server {
  readonly runId: string;
  readonly version: string;
  readonly isTooOld: boolean;
  /** Knows no sharded channels. */
  readonly isTooOldForClusters: boolean;
  readonly isLoading: boolean;
  /** Takes no writes, other than those of its master. */
  readonly isReplica: boolean;
  /** For how many milliseconds it has surely been up. */
  upMs(): number;
}

/** Reads the reply of INFO. */
export function serverOf(info: string, { now }: Pick<StoreContext, 'now'>): Server {
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  const version = field('redis_version') ?? 'unknown';
  // One that does not say so is not taken to be old.
  const [, major = Number.POSITIVE_INFINITY, minor = 0] = (/^(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  const askedMs = now();
  // It is the difference of two times that were cut off to seconds, so it may be one second too many.
  const thenUpMs = Math.max(0, Number(field('uptime_in_seconds') ?? 0) - 1) * 1_000;
  return {
    // Each script is told it among others, with spaces between them.
    runId: (field('run_id') ?? '').replaceAll(' ', ''),
    version,
    isTooOld: major < 6 || (major === 6 && minor < 2),
    isTooOldForClusters: major < 7,
    isLoading: field('loading') === '1',
    isReplica: field('role') === 'slave',
    upMs: () => Math.floor(thenUpMs + now() - askedMs),
  };
}
