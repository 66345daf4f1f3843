import { merge, type Observable, type Subscription } from 'rxjs';
import { expect } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { campaign } from '../../src/observables/elections/campaign.js';
import { candidates } from '../../src/observables/elections/candidates.js';
import { groups } from '../../src/observables/groups/groups.js';
import { join } from '../../src/observables/groups/join.js';
import { memberMap } from '../../src/observables/groups/member-map.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { status } from '../../src/observables/session/status.js';
import { until } from '../../src/testing/processes/probes.js';
import { firstWithin } from '../../src/testing/processes/until.js';
import { outcomeOf, typed } from './support.js';

/** One of everything that a backend keeps in its store, each watched, with all that was told of it. */
export class Everything implements Disposable {
  /** By what it is: how many values have come, and the typed error that ended it. */
  readonly streams = new Map<string, { values: unknown[]; error?: unknown; subscription: Subscription }>();
  /** Faults, and why the session was in doubt. */
  readonly complaints: unknown[] = [];
  readonly untyped: unknown[] = [];

  constructor(readonly backend: Backend) {
    backend.faults$.subscribe((fault) => this.#complain(fault));
    this.#watch('status', status(backend));
    status(backend).subscribe({
      next: (now) => {
        if ('cause' in now && now.cause !== undefined) this.#complain(now.cause);
      },
      error: () => undefined,
    });
    this.#watch('lock', lock(backend, 'ledger', { data: 'mine' }));
    this.#watch('join', join(backend, 'crew', { id: 'a', capabilities: { zone: 1 }, create: true }));
    this.#watch('campaign', campaign(backend, 'chief', { data: 'mine' }));
    this.#watch('holders', holders(backend, 'ledger'));
    this.#watch('members', memberMap(backend, 'crew'));
    this.#watch('groups', groups(backend));
    this.#watch('candidates', candidates(backend, 'chief'));
    this.#watch('cell', backend.cell('settings'));
  }

  /** Resolves when everything stands. */
  async standing(): Promise<void> {
    await outcomeOf(() => this.backend.swap('settings', 'any', Buffer.from('{}')));
    await until(
      () => [...this.streams.values()].every(({ values, error }) => values.length > 0 || error !== undefined),
      8_000,
      `something of each of ${[...this.streams.keys()]}`,
    );
  }

  /** Looks afresh: each look shows something, fails with a typed error, or something was reported. */
  async looksAreAnswered(limitMs: number): Promise<void> {
    const { backend } = this;
    const looks: Readonly<Record<string, () => Observable<unknown>>> = {
      holders: () => holders(backend, 'ledger'),
      members: () => memberMap(backend, 'crew'),
      groups: () => groups(backend),
      candidates: () => candidates(backend, 'chief'),
      cell: () => backend.cell('settings'),
      enter: () =>
        backend.enter({ kind: 'lock', name: 'ledger' }, { mode: 'shared', permits: 2, payload: Buffer.from('1') }),
    };
    const silent: string[] = [];
    await Promise.all(
      Object.entries(looks).map(async ([what, look]) => {
        const outcome = await outcomeOf(look, limitMs).catch((error: Error) => {
          if (!error.message.startsWith('nothing came')) throw error;
          return undefined;
        });
        if (outcome === undefined) silent.push(what);
      }),
    );
    if (this.complaints.length === 0) expect(silent).toEqual([]);
    this.isTyped();
  }

  isTyped(): void {
    expect(this.untyped).toEqual([]);
  }

  [Symbol.dispose](): void {
    for (const { subscription } of this.streams.values()) subscription.unsubscribe();
  }

  #watch(what: string, source: Observable<unknown>): void {
    const stream: { values: unknown[]; error?: unknown; subscription: Subscription } = {
      values: [],
      subscription: merge().subscribe(),
    };
    this.streams.set(what, stream);
    stream.subscription = source.subscribe({
      next: (value) => stream.values.push(value),
      error: (error) => {
        stream.error = error;
        this.#complain(error);
      },
    });
  }

  #complain(error: unknown): void {
    try {
      this.complaints.push(typed(error));
    } catch (untyped) {
      this.untyped.push(untyped);
    }
  }
}

/** Shows that the backend works: something new is acquired with it. */
export async function works(backend: Backend, limitMs = 10_000): Promise<void> {
  const name = crypto.randomUUID();
  await firstWithin(lock(backend, name), () => true, limitMs, `the new lock ${name}`);
  await firstWithin(holders(backend, name), () => true, limitMs, `its line`);
}
