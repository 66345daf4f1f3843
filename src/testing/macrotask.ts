import { setImmediate } from 'node:timers/promises';

/** Resolves when all that promises have queued by now has run. Fake timers do not hold it up. */
export const macrotask = (): Promise<void> => setImmediate();
