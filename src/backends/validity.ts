/**
 * Tells losses that are due but not yet told. A blocked event loop runs callbacks that were queued before its
 * timers; whoever is about to do guarded work calls `tellDueLosses` first, and every session whose deadline has
 * passed gives up what it holds, synchronously, through whatever operators stand in between.
 */
const checks = new Set<() => void>();

/** Registers a session's check; the function returned takes it away again. */
export function onDueCheck(check: () => void): () => void {
  checks.add(check);
  return () => {
    checks.delete(check);
  };
}

/** Asks every session of this process to compare its deadline with the clock, now. */
export function tellDueLosses(): void {
  for (const check of [...checks]) check();
}
