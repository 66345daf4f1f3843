import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Sees to it that no child process and no file outlives the process that runs the tests, whatever that one dies of.
 * A small shell reads which children live; the end of its input is the end of the tests, even after a SIGKILL.
 * It has a session of its own, so what ends the terminal's process group does not end it.
 */
export interface Watchdog {
  /** Removed with everything in it when this process ends. */
  readonly folder: string;
  watch(child: ChildProcess): void;
}

const script = `
trap '' HUP INT TERM
alive=' '
while read -r event pid; do
  case $event in
    started) alive="$alive$pid " ;;
    ended) alive="\${alive%% $pid *} \${alive#* $pid }" ;;
  esac
done
for pid in $alive; do kill -KILL "$pid"; done
tries=0
until rm -rf -- "$1" || [ "$tries" -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done
`;

let started: Watchdog | undefined;

export function watchdog(): Watchdog {
  started ??= startWatchdog();
  return started;
}

function startWatchdog(): Watchdog {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-test-'));
  const shell = spawn('/bin/sh', ['-c', script, 'watchdog', folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  shell.unref();
  // A socket at run time, but the types only know a stream.
  if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref();
  shell.stdin.on('error', () => {});

  const alive = new Set<ChildProcess>();
  process.once('exit', () => {
    for (const child of alive) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  return {
    folder,
    watch(child) {
      if (child.pid === undefined) return;
      const pid = child.pid;
      alive.add(child);
      shell.stdin.write(`started ${pid}\n`);
      child.once('exit', () => {
        alive.delete(child);
        shell.stdin.write(`ended ${pid}\n`);
      });
    },
  };
}
