import { spawn } from 'node:child_process';
import { explore, simulate } from 'conclave/testing';
import { describe, expect, it } from 'vitest';
import { crew, historyOf } from '../../bench/testing.js';
import { NAMES } from './recipes.js';

describe('the same seed', () => {
  it('gives the same history, byte for byte, also while the machine has other work', { timeout: 60_000 }, async () => {
    const idle = new Set(Array.from({ length: 20 }, () => historyOf(7, 60_000)));
    const busy = Array.from({ length: 2 }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
    try {
      const loaded = new Set(Array.from({ length: 20 }, () => historyOf(7, 60_000)));
      expect(idle.size).toBe(1);
      expect(loaded).toEqual(idle);
    } finally {
      for (const child of busy) child.kill('SIGKILL');
    }
  });

  it('is no constant: another one gives another history', () => {
    expect(historyOf(8, 60_000)).not.toBe(historyOf(7, 60_000));
    const cluster = crew(7);
    cluster.pass(60_000);
    expect(cluster.history.filter((line) => line.endsWith(' job')).length).toBeGreaterThan(10);
    expect(cluster.history.some((line) => line.includes('partition('))).toBe(true);
  });

  it('gives the same history also where two simulations take turns', () => {
    const [one, other, alone] = [crew(7), crew(9), crew(7)];
    for (let s = 0; s < 30; s++) {
      one.pass(1_000);
      other.pass(700);
    }
    alone.pass(30_000);
    expect(one.history.join('\n')).toBe(alone.history.join('\n'));
  });

  it('hangs on nothing that came before in this process', async () => {
    const before = historyOf(7, 30_000);
    await explore(
      { seeds: 3, steps: 20 },
      (cluster) => NAMES.map((name) => cluster.backend(name)),
      () => true,
    );
    simulate({ seed: 99 }).random();
    expect(historyOf(7, 30_000)).toBe(before);
  });
});
