import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { type Observable, type Subscription, tap } from 'rxjs';
import type { Backend, Place, RosterKey } from '../../../src/backends/backend.js';
import { type ZooKeeperOptions, zookeeper } from '../../../src/backends/zookeeper/index.js';
import { firstWithin } from '../../../src/testing/processes/until.js';

export const lockNamed = (name: string): RosterKey => ({ kind: 'lock', name });

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Backends that are closed at the end, and what they reported. */
export class Backends implements AsyncDisposable {
  readonly faults: string[] = [];
  readonly #open: Backend[] = [];

  connect(port: number, options: ZooKeeperOptions = {}): Backend {
    const backend = zookeeper({ hosts: [{ host: '127.0.0.1', port }], ttlMs: 3_000, ...options });
    backend.faults$.subscribe((fault) => this.faults.push(fault.message));
    this.#open.push(backend);
    return backend;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.splice(0).map((backend) => backend.close()));
  }
}

/** One who stands in a roster, with what it was told. */
export class Stander {
  readonly places: Place[] = [];
  error: unknown;
  readonly #place$: Observable<Place>;
  readonly #subscription: Subscription;
  #changed: (() => void)[] = [];

  constructor(
    backend: Backend,
    roster: RosterKey,
    options: { payload?: Uint8Array; permits?: number; shared?: boolean } = {},
  ) {
    const { payload = new Uint8Array(), permits = 1, shared = false } = options;
    this.#place$ = backend.enter(roster, { mode: shared ? 'shared' : 'exclusive', permits, payload });
    this.#subscription = this.#place$.pipe(tap({ next: (place) => this.places.push(place) })).subscribe({
      next: () => this.#tell(),
      error: (error) => {
        this.error = error;
        this.#tell();
      },
    });
  }

  get isAdmitted(): boolean {
    return this.error === undefined && this.places.at(-1)?.admitted === true;
  }

  get token(): bigint {
    const place = this.places.at(-1);
    if (place === undefined) throw new Error('it has no place yet');
    return place.entry.token;
  }

  /** Resolves when `holds` does. */
  async until(holds: (stander: Stander) => boolean, limitMs = 5_000): Promise<this> {
    const deadline = performance.now() + limitMs;
    while (!holds(this)) {
      const left = deadline - performance.now();
      if (left <= 0)
        throw new Error(
          `it did not come about within ${limitMs} ms; last: ${JSON.stringify(this.places.at(-1)?.ahead)}, ${String(this.error)}`,
        );
      await new Promise<void>((resolve) => {
        const limit = setTimeout(resolve, left);
        this.#changed.push(() => {
          clearTimeout(limit);
          resolve();
        });
      });
    }
    return this;
  }

  untilAdmitted(limitMs?: number): Promise<this> {
    return this.until((stander) => stander.isAdmitted, limitMs);
  }

  leave(): void {
    this.#subscription.unsubscribe();
  }

  #tell(): void {
    for (const changed of this.#changed.splice(0)) changed();
  }
}

/** Resolves when `count` stand in the roster. */
export async function untilStanding(
  backend: Backend,
  roster: RosterKey,
  count: number,
  limitMs = 5_000,
): Promise<readonly string[]> {
  const entries = await firstWithin(
    backend.entries(roster),
    (standing) => standing.length === count,
    limitMs,
    `a roster of ${count}`,
  );
  return entries.map(({ id }) => id);
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** Stands between: says by the first bytes of a connection where it leads to, and changes what is sent there. */
export async function relay(
  leadsTo: (first: Buffer) => Address,
  changed = (sent: Buffer): Buffer => sent,
): Promise<Address & AsyncDisposable> {
  const between = createServer((client) => {
    client.on('error', () => client.destroy());
    client.once('data', (first) => {
      const server = connect(leadsTo(first));
      server.write(changed(first));
      client.on('data', (sent) => server.write(changed(sent)));
      server.pipe(client);
      client.on('close', () => server.destroy());
      server.on('error', () => client.destroy()).on('close', () => client.destroy());
    });
  }).listen(0, '127.0.0.1');
  await once(between, 'listening');
  const address = between.address();
  return {
    host: '127.0.0.1',
    port: typeof address === 'object' && address !== null ? address.port : 0,
    async [Symbol.asyncDispose]() {
      between.close();
    },
  };
}
