/** Of all copies of this library in the process: a gate of one may stand behind a session of another. */
const CHECKS = Symbol.for('conclave.due-checks.1');

interface Shared {
  [CHECKS]?: Set<() => void>;
}

/**
 * Tells losses that are due but not yet told. A blocked event loop runs callbacks that were queued before its
 * timers; whoever is about to do guarded work calls `tellDueLosses` first, and every session whose deadline has
 * passed gives up what it holds, synchronously, through whatever operators stand in between.
 */
function checks(): Set<() => void> {
  const shared: typeof globalThis & Shared = globalThis;
  shared[CHECKS] ??= new Set();
  return shared[CHECKS];
}

/** Registers a session's check; the function returned takes it away again. */
export function onDueCheck(check: () => void): () => void {
  checks().add(check);
  return () => {
    checks().delete(check);
  };
}

/** Asks every session of this process to compare its deadline with the clock, now. */
export function tellDueLosses(): void {
  for (const check of [...checks()]) check();
}
