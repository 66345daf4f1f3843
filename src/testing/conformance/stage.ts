import { randomUUID } from 'node:crypto';
import {
  type Backend,
  type BackendOptions,
  type Entry,
  type EntryRequest,
  type Grant,
  type JoinOptions,
  join,
  type LockOptions,
  lock,
  type Membership,
  type Place,
  type RosterKind,
} from 'conclave';
import { firstValueFrom, type Observable } from 'rxjs';
import { Probe } from './probe.js';
import type { Link, MakeBackend, OwnServer, Peer, Quirks } from './quirks.js';

/** Registers a case, named after the hazard. */
export interface Suite {
  readonly quirks: Quirks;
  hazard(name: string, play: (stage: Stage) => Promise<void>): void;
}

/** What one case works with: a namespace of its own, and everything put away when it is over. */
export class Stage implements AsyncDisposable {
  /** What comes without waiting for any session to expire comes within this, on a noisy machine too. */
  readonly soonMs: number;
  /** What comes within this does not come of an expired session: those alive were renewed a moment ago. */
  readonly promptMs: number;
  /** What was promised for the death of a client. */
  readonly expiryMs: number;
  readonly options: { readonly ttlMs: number; readonly namespace: string } & BackendOptions;
  readonly #probes: Disposable[] = [];
  readonly #backends: Backend[] = [];
  readonly #rest: AsyncDisposable[] = [];
  #watcher: Backend | undefined;

  constructor(
    readonly quirks: Quirks,
    private readonly makeBackend: MakeBackend,
    /** Tells what the quirks leave out: it is reported, and no failure. */
    readonly notShown: (what: string) => void = () => undefined,
  ) {
    const { ttlMs } = quirks;
    this.soonMs = Math.max(5_000, 3 * ttlMs);
    this.promptMs = ttlMs * 0.75;
    this.expiryMs = ttlMs + 1_000;
    this.options = {
      ttlMs,
      namespace: `case-${randomUUID()}`,
      initialBackoffMs: 50,
      maxBackoffMs: 500,
      closeTimeoutMs: ttlMs,
    };
  }

  backend(overrides: BackendOptions = {}): Backend {
    return this.#tracked(this.makeBackend({ ...this.options, ...overrides }));
  }

  /** Takes no part in anything, and its way to the store is never broken. */
  get watcher(): Backend {
    this.#watcher ??= this.backend();
    return this.#watcher;
  }

  over(way: Pick<Link, 'connect'>, overrides: BackendOptions = {}): Backend {
    return this.#tracked(way.connect({ ...this.options, ...overrides }));
  }

  async link(): Promise<Link> {
    return this.kept(await this.quirks.startLink());
  }

  async server(): Promise<OwnServer> {
    return this.kept(await this.quirks.startServer());
  }

  async peer(): Promise<Peer> {
    return this.kept(await this.quirks.startPeer(this.options));
  }

  probe<T>(source: Observable<T>): Probe<T> {
    const probe = new Probe(source, this.soonMs);
    this.#probes.push(probe);
    return probe;
  }

  /** Whoever stands in line, seen from outside. */
  line(name: string, kind: RosterKind = 'lock', backend: Backend = this.watcher): Probe<readonly Entry[]> {
    return this.probe(backend.entries({ kind, name }));
  }

  async entries(name: string, kind: RosterKind = 'lock'): Promise<readonly Entry[]> {
    return firstValueFrom(this.watcher.entries({ kind, name }));
  }

  async hold(backend: Backend, name: string, options: LockOptions = {}): Promise<{ grant: Grant; held: Probe<Grant> }> {
    const held = this.probe(lock(backend, name, options));
    return { held, grant: await held.first(`the lock ${legible(name)}`, 3 * this.soonMs) };
  }

  async join(
    backend: Backend,
    group: string,
    options: JoinOptions = {},
  ): Promise<{ membership: Membership; joined: Probe<Membership> }> {
    const joined = this.probe(join(backend, group, options));
    return { joined, membership: await joined.first(`the membership in ${legible(group)}`, 3 * this.soonMs) };
  }

  enter(backend: Backend, name: string, request: Partial<EntryRequest> = {}): Probe<Place> {
    const all: EntryRequest = { mode: 'exclusive', permits: 1, payload: new Uint8Array(), ...request };
    return this.probe(backend.enter({ kind: 'lock', name }, all));
  }

  /** Stands in a group as another client might: with whatever payload. */
  enterGroup(backend: Backend, name: string, payload: Uint8Array): Probe<Place> {
    return this.probe(backend.enter({ kind: 'group', name }, { mode: 'shared', permits: 1, payload }));
  }

  /** Waits until so many stand in line. */
  async inLine(name: string, count: number, kind: RosterKind = 'lock'): Promise<readonly Entry[]> {
    const line = this.line(name, kind);
    const entries = await line.now(({ length }) => length === count, `a line of ${count} for ${legible(name)}`);
    line.unsubscribe();
    return entries;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const probe of this.#probes) probe[Symbol.dispose]();
    await Promise.all(this.#backends.map((backend) => backend.close({ drainMs: 0 })));
    await Promise.all(this.#rest.map((each) => each[Symbol.asyncDispose]()));
  }

  #tracked(backend: Backend): Backend {
    this.#backends.push(backend);
    return backend;
  }

  /** Put away when the case is over. */
  kept<T extends AsyncDisposable>(resource: T): T {
    this.#rest.push(resource);
    return resource;
  }
}

const mostShown = 60;

/** A name for a report: no character of it does anything to the terminal, and a long one is cut. */
export function legible(name: string): string {
  const quoted = JSON.stringify(name.length > mostShown ? `${name.slice(0, mostShown)}…` : name);
  return quoted.replace(/(?! )[\p{C}\p{Z}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** Whether a set has just these elements. */
export function consistsOf<T>(...elements: readonly T[]): (set: ReadonlySet<T>) => boolean {
  return (set) => set.size === elements.length && elements.every((element) => set.has(element));
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (value: Uint8Array): string => new TextDecoder().decode(value);
