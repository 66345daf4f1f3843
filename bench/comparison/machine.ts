import { readFileSync } from 'node:fs';
import { cpus, getPriority, loadavg, release, type } from 'node:os';

/** What ran it. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly system: string;
  /** Its priority towards whatever else runs: 0 is usual, 19 comes last. */
  readonly niceness: number;
}

export function machine(): Machine {
  const cores = cpus();
  return {
    processor: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    system: `${type()} ${release()}`,
    niceness: getPriority(),
  };
}

/** How many processes wanted a core, on average, in the last minute. */
export function load(): number {
  return loadavg()[0] ?? Number.NaN;
}

/** What is installed, as `name version`. */
export function packageVersion(name: string): string {
  const manifest = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  return `${name} ${version.replace(/^v/, '')}`;
}
