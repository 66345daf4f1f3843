import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import type { Suite } from './stage.js';

/** What a backend says of itself. */
export function declarationCases({ hazard, quirks }: Suite): void {
  hazard('it declares what this suite has shown', async (stage) => {
    const { caveats, ...declared } = stage.backend().characteristics;
    expect(isDeepStrictEqual(declared, quirks.declares), JSON.stringify(declared)).toBe(true);
    for (const caveat of caveats) expect(caveat).toMatch(/\.$/);
    const promisesAll = Object.values(declared).every((promise) => promise);
    expect(promisesAll || caveats.length > 0).toBe(true);
  });
}
