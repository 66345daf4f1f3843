import { writeSync } from 'node:fs';

/** Exit code of an actor from which something escaped. */
const escapedCode = 70;

/** Nothing escapes: what does ends the process, with its reason in the log. */
export function failOnEscapes(): void {
  process.on('unhandledRejection', (reason) => fail('unhandled rejection', reason));
  process.on('uncaughtException', (error) => fail('uncaught exception', error));
}

export function fail(what: string, reason: unknown): never {
  const text = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
  writeSync(2, `${what}: ${text}\n`);
  process.exit(escapedCode);
}
