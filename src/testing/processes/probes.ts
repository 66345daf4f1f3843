import { setTimeout as delay } from 'node:timers/promises';

const betweenLooksMs = 20;

/** For what reports no event when it becomes true: looks again and again. */
export async function until(isTrue: () => boolean | Promise<boolean>, limitMs: number, what: string): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`${what} did not come within ${limitMs} ms`);
    await delay(betweenLooksMs);
  }
}
