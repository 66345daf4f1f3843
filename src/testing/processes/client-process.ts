import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Observable, ReplaySubject, skip, tap } from 'rxjs';
import type { Calls, FromClient, Request } from './client-side.js';
import { LogFile } from './log-file.js';
import { suspend } from './suspend.js';
import { firstWithin } from './until.js';
import { watchdog } from './watchdog.js';

/** A client in a process of its own, which runs a module that calls `answer` of client-side.ts. */
export interface ClientProcess<C extends Calls, Message> extends AsyncDisposable {
  readonly pid: number;
  /** All that it has told since it started, also to those who subscribe late. Completes when the process has ended. */
  readonly messages$: Observable<Message>;
  /** Says how the process ended, when it has and all of its messages have arrived. */
  readonly ended: Promise<Ending>;
  /** Has `call` performed there. Rejects with the call's error, after `requestLimitMs`, and when the process ends. */
  request<K extends keyof C & string>(call: K, ...args: Parameters<C[K]>): Promise<Awaited<ReturnType<C[K]>>>;
  /** The next message that satisfies `predicate`, counted from the one that the last `untilMessage` resolved with. */
  untilMessage<S extends Message>(predicate: (message: Message) => message is S, limitMs: number): Promise<S>;
  untilMessage(predicate: (message: Message) => boolean, limitMs: number): Promise<Message>;
  /** SIGKILL; resolves when the process has ended. */
  kill(): Promise<void>;
  /** SIGSTOP; resolves when it has stopped. */
  pause(): Promise<void>;
  /** SIGCONT. */
  resume(): void;
  /** The last 64 KiB that it wrote to stdout and stderr. */
  log(): string;
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const startLimitMs = 30_000;
const requestLimitMs = 30_000;

/** Resolves when the module has called `answer`. The process dies with this one, whatever this one dies of. */
export async function spawnClient<C extends Calls, Message = never>(
  modulePath: string | URL,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<ClientProcess<C, Message>> {
  const path = modulePath instanceof URL ? fileURLToPath(modulePath) : modulePath;
  const client = new Client<C, Message>(path, args, env);
  try {
    await client.ready();
    return client;
  } catch (error) {
    await client.kill();
    throw error;
  }
}

class Client<C extends Calls, Message> implements ClientProcess<C, Message> {
  readonly messages$ = new ReplaySubject<Message>();
  readonly ended: Promise<Ending>;
  readonly #name: string;
  readonly #log: LogFile;
  readonly #child: ChildProcess;
  readonly #ready$ = new ReplaySubject<void>();
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #consumed = 0;

  constructor(path: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.#log = new LogFile(join(watchdog().folder, `client-${randomUUID()}`));
    this.#child = this.#log.append((log) =>
      spawn(process.execPath, [...loaderOf([path, ...args]), path, ...args], {
        env: { ...process.env, ...env },
        stdio: ['ignore', log, log, 'ipc'],
        serialization: 'advanced',
      }),
    );
    watchdog().watch(this.#child);
    this.#name = `client ${basename(path)} (process ${this.#child.pid})`;
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#end(signal === null ? `ended with code ${code}` : `was ended by ${signal}`);
        resolve({ code, signal });
      });
    });
    this.#child.on('message', (message: FromClient) => this.#receive(message));
    // A request to a process that has just ended; the end itself rejects it.
    this.#child.on('error', () => {});
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} could not be run with ${process.execPath}`);
    return this.#child.pid;
  }

  async ready(): Promise<void> {
    try {
      await firstWithin(this.#ready$, () => true, startLimitMs, `the call of answer() in ${this.#name}`);
    } catch (error) {
      throw new Error(`${String(error)}; its log ends with:\n${this.#log.tail(4_000)}`, { cause: error });
    }
  }

  request<K extends keyof C & string>(call: K, ...args: Parameters<C[K]>): Promise<Awaited<ReturnType<C[K]>>> {
    this.#lastId += 1;
    const request: Request = { id: this.#lastId, call, args };
    return new Promise((resolve, reject) => {
      const limit = setTimeout(
        () => waiting.reject(new Error(`${this.#name} did not reply to '${call}' within ${requestLimitMs} ms`)),
        requestLimitMs,
      );
      const settle = (): void => {
        clearTimeout(limit);
        this.#waiting.delete(request.id);
      };
      const waiting: Waiting = {
        resolve: (result) => {
          settle();
          resolve(result as Awaited<ReturnType<C[K]>>);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      this.#waiting.set(request.id, waiting);
      if (this.#child.connected) this.#child.send(request);
      else waiting.reject(new Error(`${this.#name} has ended and cannot be asked for '${call}'`));
    });
  }

  async untilMessage(predicate: (message: Message) => boolean, limitMs: number): Promise<Message> {
    let seen = this.#consumed;
    const unconsumed$ = this.messages$.pipe(
      skip(this.#consumed),
      tap(() => {
        seen += 1;
      }),
    );
    const message = await firstWithin(unconsumed$, predicate, limitMs, `a message of ${this.#name} with ${predicate}`);
    this.#consumed = seen;
    return message;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  pause(): Promise<void> {
    return suspend(this.#child);
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  log(): string {
    return this.#log.tail();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #receive(message: FromClient): void {
    switch (message.kind) {
      case 'ready':
        this.#ready$.next();
        break;
      case 'message':
        this.messages$.next(message.message as Message);
        break;
      case 'result':
        this.#waiting.get(message.id)?.resolve(message.result);
        break;
      case 'error': {
        const { name, stack, message: text } = message.error;
        this.#waiting.get(message.id)?.reject(Object.assign(new Error(text), { name, stack }));
        break;
      }
    }
  }

  #end(how: string): void {
    this.#ready$.error(new Error(`it ${how}`));
    for (const waiting of this.#waiting.values()) waiting.reject(new Error(`${this.#name} ${how} before it replied`));
    this.messages$.complete();
  }
}

/** What lets Node run modules in TypeScript: `tsx` where it is installed; else Node must know how by itself. */
function loaderOf(modules: readonly string[]): readonly string[] {
  const module = modules.find((each) => each.endsWith('.ts'));
  if (module === undefined) return [];
  try {
    return ['--import', pathToFileURL(createRequire(join(process.cwd(), 'any.js')).resolve('tsx')).href];
  } catch {
    return [];
  }
}
