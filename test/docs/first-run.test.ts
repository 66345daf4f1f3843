import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { describe, expect, inject, it } from 'vitest';
import { loopback, ReservedPorts } from '../../src/testing/servers/ports.js';
import { root } from './code-blocks.js';

interface Ran {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
  readonly tookMs: number;
}

const limitMs = 15_000;
const timeout = 30_000;
const typeScriptLoader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

describe('the first run', () => {
  it('ends by itself with exit code 0 after a takeover', { timeout }, async () => {
    const { code, output, tookMs } = await run('npm', 'start');
    expect(output).toMatch(/^worker-1 +j.*L.*\(.*o.*!.*x.*j/m);
    expect(output, 'colours and cursor movements are for terminals').not.toContain('\x1b');
    expect(output).toMatch(/led from .*was told at .*took over at/);
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(limitMs);
  });

  it('leaves no process behind when it is killed', { timeout }, async () => {
    const child = spawn(process.execPath, commandFor(inject('redisUrl')), { cwd: root });
    child.stderr.resume();
    child.stdout.setEncoding('utf8').on('data', (rows: string) => {
      if (rows.includes('joins')) child.kill('SIGKILL');
    });
    // The workers have its output, too: it is closed when the last of them has ended.
    await once(child, 'close');
    expect(child.signalCode).toBe('SIGKILL');
  });

  it.concurrent('says which schemes there are when it is given another one', { timeout }, async () => {
    const { code, errors, tookMs } = await firstRun('carrier-pigeon://loft');
    expect(errors).toMatch(/^UnknownScheme: .*redis:.*etcd:.*zookeeper:/);
    expect(code).toBe(1);
    expect(tookMs).toBeLessThan(limitMs);
  });

  it.concurrent.each(['redis', 'etcd', 'zookeeper'])('says that %s does not answer', { timeout }, async (scheme) => {
    const ports = new ReservedPorts();
    const { code, errors, tookMs } = await firstRun(`${scheme}://${loopback}:${await ports.take()}`);
    ports[Symbol.dispose]();
    expect(errors).toMatch(/^ConnectionRefused: Could not reach/);
    expect(code).toBe(1);
    expect(tookMs).toBeLessThan(limitMs);
  });
});

function firstRun(...args: readonly string[]): Promise<Ran> {
  return run(process.execPath, ...commandFor(...args));
}

function commandFor(...args: readonly string[]): readonly string[] {
  return ['--import', typeScriptLoader, 'examples/first-run.ts', ...args];
}

async function run(command: string, ...args: readonly string[]): Promise<Ran> {
  const startMs = performance.now();
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const tooLate = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), limitMs + 5_000);
  const [output, errors] = await Promise.all([textOf(child.stdout), textOf(child.stderr), once(child, 'exit')]);
  clearTimeout(tooLate);
  return { code: child.exitCode, output, errors, tookMs: performance.now() - startMs };
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}
