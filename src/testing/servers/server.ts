import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LogFile } from '../processes/log-file.js';
import { suspend } from '../processes/suspend.js';
import { watchdog } from '../processes/watchdog.js';
import { loopback, ReservedPorts } from './ports.js';
import { isInstalled, MissingProgram, type Program } from './program.js';

/** A real server as a child process. Its port and its data folder stay the same until it is disposed of. */
export interface TestServer extends AsyncDisposable {
  readonly product: string;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Of the running process; throws while there is none. */
  readonly pid: number;
  readonly dataDir: string;
  /** Resolves once the server answers. With `keepData: false` it begins with an empty data folder. */
  start(options?: StartOptions): Promise<void>;
  /** SIGTERM, or what the product wants instead; resolves when the process has ended. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when the process has ended. */
  kill(): Promise<void>;
  /** `stop`, then `start`. */
  restart(options?: StartOptions): Promise<void>;
  /** SIGSTOP; resolves when it has stopped. Connections stay open and nothing is answered. */
  pause(): Promise<void>;
  /** SIGCONT. */
  resume(): void;
  /** The last 64 KiB that the server wrote to stdout and stderr. */
  log(): string;
}

/** How a server is started again. */
export interface StartOptions {
  /** `false`: with an empty data folder. Default `true`. */
  readonly keepData?: boolean;
}

/** What one product needs to be run. */
export interface ServerSpec {
  readonly product: string;
  readonly url: string;
  /** The port of the clients. */
  readonly port: number;
  /** Given back when the server is disposed of. */
  readonly ports?: ReservedPorts;
  /** Looked for before it is run. */
  readonly needs?: readonly Program[];
  command(dataDir: string): readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** Written into the data folder before each start, by name. */
  files?(dataDir: string): Readonly<Record<string, string>>;
  /** What ends it in good order, also where it is disposed of. Default: SIGTERM to stop it, SIGKILL to dispose of it. */
  readonly endsOn?: NodeJS.Signals;
  /** One handshake in the server's own protocol; a rejection means "not yet" too. */
  answers(): Promise<boolean>;
}

const startLimitMs = 40_000;
const stopLimitMs = 20_000;
const betweenHandshakesMs = 20;

class ServerDidNotStart extends Error {
  override readonly name = 'ServerDidNotStart';

  constructor(
    message: string,
    readonly log: string,
  ) {
    super(`${message}; its log ends with:\n${log.slice(-4_000) || '(nothing)'}`);
  }

  get portWasTaken(): boolean {
    return /address (already )?in use|EADDRINUSE|could not create server TCP listening socket/i.test(this.log);
  }
}

/** The server runs and answers when this resolves. */
export async function startServer(spec: ServerSpec): Promise<TestServer> {
  const missing = spec.needs?.find((program) => !isInstalled(program));
  if (missing !== undefined) throw new MissingProgram(spec.product, missing);
  const server = new ChildServer(spec);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Calls `start` with ports to take, which belong to what it starts from then on. Something else on this machine may
 * take one of them in the moment before the server does: then it is called again with other ports.
 */
export async function onFreePorts<T>(start: (ports: ReservedPorts) => Promise<T>, attempts = 3): Promise<T> {
  const ports = new ReservedPorts();
  try {
    return await start(ports);
  } catch (error) {
    ports[Symbol.dispose]();
    if (!(error instanceof ServerDidNotStart && error.portWasTaken && attempts > 1)) throw error;
    return onFreePorts(start, attempts - 1);
  }
}

/** Disposes of all of them at once, and of those that can be even if one fails. */
export async function disposeAll(things: Iterable<AsyncDisposable>): Promise<void> {
  const results = await Promise.allSettled([...things].map((thing) => thing[Symbol.asyncDispose]()));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

class ChildServer implements TestServer {
  readonly host = loopback;
  readonly dataDir: string;
  readonly #spec: ServerSpec;
  readonly #folder: string;
  readonly #log: LogFile;
  #child: ChildProcess | undefined;
  #isDisposed = false;
  /** Says how the current child ended; never rejects. */
  #ended: Promise<string> = Promise.resolve('was never started');

  constructor(spec: ServerSpec) {
    this.#spec = spec;
    this.#folder = mkdtempSync(join(watchdog().folder, `${spec.product}-`));
    this.dataDir = join(this.#folder, 'data');
    this.#log = new LogFile(join(this.#folder, 'log'));
  }

  get product(): string {
    return this.#spec.product;
  }

  get url(): string {
    return this.#spec.url;
  }

  get port(): number {
    return this.#spec.port;
  }

  get pid(): number {
    const pid = this.#running.pid;
    if (pid === undefined) throw new Error(`${this} could not be run`);
    return pid;
  }

  get #running(): ChildProcess {
    if (this.#child === undefined) throw new Error(`${this} does not run: call start() first`);
    return this.#child;
  }

  async start({ keepData = true }: StartOptions = {}): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this} runs already: call stop() or kill() first`);
    // Its port may be another's by now, and nobody would end it.
    if (this.#isDisposed) throw new Error(`${this} has been disposed of: start another one`);
    if (!keepData) rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
    mkdirSync(this.dataDir, { recursive: true });
    for (const [name, content] of Object.entries(this.#spec.files?.(this.dataDir) ?? {})) {
      writeFileSync(join(this.dataDir, name), content);
    }
    this.#spawn();
    try {
      await this.#untilItAnswers();
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  async stop(): Promise<void> {
    if (this.#child === undefined) return;
    this.#child.kill('SIGCONT');
    const signal = this.#spec.endsOn ?? 'SIGTERM';
    this.#child.kill(signal);
    const patience = new AbortController();
    const tooLate = delay(stopLimitMs, true, { signal: patience.signal }).catch(() => false);
    const hangs = await Promise.race([tooLate, this.#ended.then(() => false)]);
    patience.abort();
    if (!hangs) return;
    await this.kill();
    throw new Error(
      `${this} had not ended ${stopLimitMs} ms after ${signal} and was killed:\n${this.log().slice(-4_000)}`,
    );
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#ended;
  }

  async restart(options?: StartOptions): Promise<void> {
    await this.stop();
    await this.start(options);
  }

  pause(): Promise<void> {
    return suspend(this.#running);
  }

  resume(): void {
    this.#running.kill('SIGCONT');
  }

  log(): string {
    return this.#log.tail();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    await (this.#spec.endsOn === undefined ? this.kill() : this.stop());
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
    this.#spec.ports?.[Symbol.dispose]();
  }

  toString(): string {
    return `${this.product} at ${this.host}:${this.port}`;
  }

  #spawn(): void {
    const [program, ...args] = this.#spec.command(this.dataDir);
    const env = { ...process.env, ...this.#spec.env };
    const child = this.#log.append((log) =>
      spawn(program, args, { cwd: this.#folder, env, stdio: ['ignore', log, log] }),
    );
    watchdog().watch(child);
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      const end = (how: string): void => {
        if (this.#child === child) this.#child = undefined;
        resolve(how);
      };
      child.once('exit', (code, signal) => end(signal === null ? `ended with code ${code}` : `was ended by ${signal}`));
      child.once('error', (error) => end(`could not be run (${error.message})`));
    });
  }

  async #untilItAnswers(): Promise<void> {
    const ended = this.#ended;
    const failed = ended.then((how) => {
      throw new ServerDidNotStart(`${this} ${how} before it answered`, this.log());
    });
    // It ends some time, also when nobody waits for that any more.
    failed.catch(() => {});
    const spawned = new Promise<void>((resolve) => this.#child?.once('spawn', resolve));
    await Promise.race([spawned, failed]);
    const deadline = performance.now() + startLimitMs;
    while (performance.now() < deadline) {
      const answers = this.#spec.answers().catch(() => false);
      // Once it has ended, it is something else that answers.
      if ((await Promise.race([answers, failed])) && this.#child !== undefined) return;
      await Promise.race([delay(betweenHandshakesMs), failed]);
    }
    throw new ServerDidNotStart(`${this} did not answer within ${startLimitMs} ms`, this.log());
  }
}
