import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { Observable, ReplaySubject, type Subscription } from 'rxjs';
import type { Backend, EntryRequest, Place, RosterKey } from '../../../src/backends/backend.js';
import { type EtcdOptions, etcd } from '../../../src/backends/etcd/index.js';
import { firstWithin } from '../../../src/testing/processes/until.js';

export const exclusive: EntryRequest = { mode: 'exclusive', permits: 1, payload: new Uint8Array() };

export const lock = (name: string): RosterKey => ({ kind: 'lock', name });

/** Backends that are closed at the end of the test, on the members behind these ports. */
export class Backends implements AsyncDisposable {
  readonly #made: Backend[] = [];

  make(port: number | readonly number[], options: EtcdOptions = {}): Backend {
    const hosts = [port].flat().map((each) => `127.0.0.1:${each}`);
    const backend = etcd({ hosts, ttlMs: 3_000, closeTimeoutMs: 500, maxBackoffMs: 300, ...options });
    this.#made.push(backend);
    return backend;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#made.map((backend) => backend.close()));
  }
}

/** One participation, with all that it has told. */
export class Stay {
  readonly places$ = new ReplaySubject<Place>();
  readonly #subscription: Subscription;

  constructor(backend: Backend, roster: RosterKey, request: EntryRequest = exclusive) {
    this.#subscription = backend.enter(roster, request).subscribe(this.places$);
  }

  admitted(limitMs = 5_000): Promise<Place> {
    return firstWithin(this.places$, ({ admitted }) => admitted, limitMs, 'admission');
  }

  waiting(limitMs = 5_000): Promise<Place> {
    return firstWithin(this.places$, ({ admitted }) => !admitted, limitMs, 'a place in line');
  }

  /** What the stay has failed with. */
  async failure(limitMs = 5_000): Promise<unknown> {
    const ending = new Observable<{ error: unknown }>((subscriber) =>
      this.places$.subscribe({ error: (error) => subscriber.next({ error }), complete: () => subscriber.complete() }),
    );
    return (await firstWithin(ending, () => true, limitMs, 'a failure')).error;
  }

  leave(): void {
    this.#subscription.unsubscribe();
  }
}

export function live(backend: Backend, limitMs = 10_000): Promise<unknown> {
  return firstWithin(backend.session$, ({ state }) => state === 'live', limitMs, 'a live session');
}

/** What etcdctl prints. */
export async function etcdctl(port: number, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('etcdctl', ['--endpoints', `127.0.0.1:${port}`, ...args], {
    env: { ...process.env, ETCDCTL_API: '3' },
  });
  return stdout.trim();
}

/** `etcdctl lock`, from its start until it is disposed of. */
export class EtcdctlLock implements AsyncDisposable {
  /** Emits the key once it is held. */
  readonly held$ = new ReplaySubject<string>();
  readonly #child;
  readonly #ended: Promise<unknown>;

  constructor(port: number, name: string) {
    this.#child = spawn('etcdctl', ['--endpoints', `127.0.0.1:${port}`, 'lock', name], {
      env: { ...process.env, ETCDCTL_API: '3' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child.stdout.on('data', (chunk: Buffer) => this.held$.next(chunk.toString().trim()));
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
  }
}

/** Switches users on: `root:secret`, and others with the password `pass`, each with what `grant-permission` is given. */
export async function enableUsers(
  port: number,
  users: Readonly<Record<string, readonly (readonly string[])[]>> = {},
): Promise<void> {
  await etcdctl(port, 'user', 'add', 'root:secret');
  await etcdctl(port, 'user', 'grant-role', 'root', 'root');
  for (const [name, permissions] of Object.entries(users)) {
    await etcdctl(port, 'role', 'add', name);
    for (const permission of permissions) await etcdctl(port, 'role', 'grant-permission', name, ...permission);
    await etcdctl(port, 'user', 'add', `${name}:pass`);
    await etcdctl(port, 'user', 'grant-role', name, name);
  }
  await etcdctl(port, 'auth', 'enable');
}
