import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const limitMs = 10_000;

/**
 * SIGSTOP; resolves when no thread runs any more. On a busy machine threads run on for a while after the signal, and
 * answer. Where there is no /proc it resolves at once.
 */
export async function suspend(child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP');
  const threads = `/proc/${child.pid}/task`;
  const deadline = performance.now() + limitMs;
  while (existsSync(threads) && readdirSync(threads).some((thread) => runs(`${threads}/${thread}/stat`))) {
    if (performance.now() > deadline) throw new Error(`process ${child.pid} ran on for ${limitMs} ms after SIGSTOP`);
    await delay(1);
  }
}

/** T and t are stopped, Z and X have ended. The name before the state may contain anything. */
function runs(statFile: string): boolean {
  try {
    const stat = readFileSync(statFile, 'latin1');
    return !'TtZX'.includes(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
