/** Of all copies of this library in the process: a gate of one may stand behind a session of another. */
const CHECKS = Symbol.for('conclave.due-checks.2');

interface Shared {
  /** Another list after each change: whoever goes through one goes through those who were there. */
  [CHECKS]?: readonly (() => void)[];
}

const shared: typeof globalThis & Shared = globalThis;

/** Registers a session's check; the function returned takes it away again. */
export function onDueCheck(check: () => void): () => void {
  shared[CHECKS] = [...(shared[CHECKS] ?? []), check];
  return () => {
    shared[CHECKS] = shared[CHECKS]?.filter((one) => one !== check) ?? [];
  };
}

/**
 * Tells losses that are due but not yet told. A blocked event loop runs callbacks that were queued before its
 * timers; whoever is about to do guarded work calls `tellDueLosses` first, and every session whose deadline has
 * passed gives up what it holds, synchronously, through whatever operators stand in between.
 */
export function tellDueLosses(): void {
  const checks = shared[CHECKS];
  if (checks === undefined) return;
  for (const check of checks) check();
}
