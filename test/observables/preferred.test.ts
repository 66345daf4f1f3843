import type { Subscription } from 'rxjs';
import { describe, expect, it } from 'vitest';
import {
  type CampaignOptions,
  campaign,
  candidates,
  handOver,
  isSome,
  leadership,
  toUndefined,
  withLeadership,
} from '../../src/index.js';
import { type Cluster, simulate } from '../../src/testing/simulate.js';

const LATENCY_MS = 5;
const ROUND_TRIP_MS = 2 * LATENCY_MS;

/** Who leads, as all of them are told, one change after the other. */
class Leads {
  readonly told: string[] = [];
  readonly atMs: number[] = [];
  leading: string[] = [];

  constructor(readonly cluster: Cluster) {}

  stand(name: string, options: CampaignOptions = {}): Subscription {
    return this.cluster.run(name, () =>
      campaign(this.cluster.backend(name), 'e', { data: name, ...options }).subscribe((now) => {
        if (isSome(now)) {
          this.leading.push(name);
          this.told.push(name);
          this.atMs.push(this.cluster.now());
        } else this.leading = this.leading.filter((one) => one !== name);
        expect(this.leading.length).toBeLessThanOrEqual(1);
      }),
    );
  }

  /** Ends who stands there, and lets it go. */
  leave(name: string, standing: Subscription): void {
    standing.unsubscribe();
    this.leading = this.leading.filter((one) => one !== name);
  }

  line(): unknown[] {
    let line: unknown[] = [];
    const looking = candidates(this.cluster.backend('watcher'), 'e').subscribe((now) => {
      line = now.map(({ data }) => toUndefined(data));
    });
    this.cluster.pass(50);
    looking.unsubscribe();
    return line;
  }
}

function setUp(names: readonly string[]): Leads {
  const cluster = simulate({ latencyMs: LATENCY_MS });
  for (const name of [...names, 'watcher']) cluster.backend(name);
  return new Leads(cluster);
}

describe('a preferred candidate', () => {
  it('comes, leads within two round trips, goes, and comes back: no flapping', () => {
    const leads = setUp(['a', 'b']);
    const { cluster } = leads;
    leads.stand('a', { priority: 1 });
    cluster.pass(1_000);
    expect(leads.told).toEqual(['a']);
    for (let round = 1; round <= 3; round++) {
      const standing = leads.stand('b', { priority: 2 });
      const cameMs = cluster.now();
      cluster.pass(1_000);
      expect(leads.leading).toEqual(['b']);
      // It enters, is seen, is made way for, and is told.
      expect((leads.atMs.at(-1) ?? 0) - cameMs).toBeLessThanOrEqual(ROUND_TRIP_MS + 2 * ROUND_TRIP_MS);
      cluster.pass(20_000);
      leads.leave('b', standing);
      cluster.pass(1_000);
      expect(leads.leading).toEqual(['a']);
      cluster.pass(20_000);
    }
    expect(leads.told).toEqual(['a', 'b', 'a', 'b', 'a', 'b', 'a']);
  });

  it('ThirdInBetween: passes all who wait and are less preferred, before the lead is handed to it', () => {
    const leads = setUp(['a', 'b', 'c', 'd']);
    const { cluster } = leads;
    for (const [i, name] of ['b', 'a', 'c'].entries()) {
      leads.stand(name, { priority: [2, 1, 1][i] ?? 0 });
      cluster.pass(200);
    }
    expect(leads.line()).toEqual(['b', 'a', 'c']);
    leads.stand('d', { priority: 3 });
    cluster.pass(1_000);
    expect(leads.told).toEqual(['b', 'd']);
    expect(leads.line()[1]).toBe('b');
    expect(leads.line()).toHaveLength(4);
  });

  it('SecondBest: a leader waits for the best to be next, though one who is next is better than itself', () => {
    const leads = setUp(['a', 'b', 'c']);
    const { cluster } = leads;
    leads.stand('a', { priority: 1, holdDownMs: 500 });
    cluster.pass(200);
    leads.stand('b', { priority: 2 });
    cluster.pass(200);
    // It is next, and cannot make way.
    cluster.pause('b', 2_000);
    leads.stand('c', { priority: 3 });
    cluster.pass(1_900);
    expect(leads.leading).toEqual(['a']);
    cluster.pass(5_000);
    expect(leads.told).toEqual(['a', 'c']);
  });

  it('equals never change places, however often others come and go', () => {
    const leads = setUp(['a', 'b', 'c']);
    const { cluster } = leads;
    for (const name of ['a', 'b', 'c']) {
      leads.stand(name, { priority: 7 });
      cluster.pass(200);
    }
    const stood = cluster.history.filter((line) => line.includes(' enter ')).length;
    cluster.pass(60_000);
    expect(leads.told).toEqual(['a']);
    expect(leads.line()).toEqual(['a', 'b', 'c']);
    expect(cluster.history.filter((line) => line.includes(' enter '))).toHaveLength(stood);
  });

  it('candidates that give none stand still, and lead when their turn comes', () => {
    const leads = setUp(['a', 'b', 'c']);
    const { cluster } = leads;
    leads.stand('a', { priority: 1 });
    cluster.pass(200);
    const plain = leads.stand('b');
    cluster.pass(200);
    leads.stand('c', { priority: 2 });
    cluster.pass(5_000);
    // The next one gives none, so the lead would not come to the best.
    expect(leads.told).toEqual(['a']);
    expect(leads.line()).toEqual(['a', 'b', 'c']);
    leads.leave('b', plain);
    cluster.pass(1_000);
    expect(leads.told).toEqual(['a', 'c']);
  });

  it('a leader that gives none hands over to nobody, and watches nobody', () => {
    const leads = setUp(['a', 'b']);
    const { cluster } = leads;
    leads.stand('a');
    cluster.pass(200);
    leads.stand('b', { priority: 2 });
    cluster.pass(5_000);
    expect(leads.told).toEqual(['a']);
    expect(cluster.history.filter((line) => line.includes(' a watch'))).toEqual(['25 a watch a place']);
  });

  it('holdDownMs: one that comes and goes within it changes nothing, and one that stays is handed the lead after it', () => {
    const leads = setUp(['a', 'b']);
    const { cluster } = leads;
    leads.stand('a', { priority: 1, holdDownMs: 5_000 });
    cluster.pass(1_000);
    for (let round = 0; round < 5; round++) {
      const standing = leads.stand('b', { priority: 2 });
      cluster.pass(4_000);
      leads.leave('b', standing);
      cluster.pass(4_000);
    }
    expect(leads.told).toEqual(['a']);
    leads.stand('b', { priority: 2 });
    cluster.pass(4_900);
    expect(leads.told).toEqual(['a']);
    cluster.pass(200);
    expect(leads.told).toEqual(['a', 'b']);
  });

  it('is given the lead when the work of the present one has settled, within two round trips', async () => {
    const leads = setUp(['a', 'b']);
    const { cluster } = leads;
    const log: [string, number][] = [];
    const finish: (() => void)[] = [];
    cluster.run('a', () =>
      withLeadership(
        cluster.backend('a'),
        'e',
        ({ signal }) =>
          new Promise<void>((done) => {
            log.push(['a begins', cluster.now()]);
            finish.push(done);
            signal.addEventListener('abort', () => log.push([`a is told: ${signal.reason.name}`, cluster.now()]));
          }),
        { priority: 1 },
      ).subscribe(),
    );
    await cluster.passWithPromises(200);
    cluster.run('b', () =>
      leadership(cluster.backend('b'), 'e', { priority: 2 }).subscribe((now) => {
        if (now) log.push(['b leads', cluster.now()]);
      }),
    );
    await cluster.passWithPromises(3_000);
    expect(log.map(([what]) => what)).toEqual(['a begins', 'a is told: Released']);
    const settledMs = cluster.now();
    finish[0]?.();
    await cluster.passWithPromises(1_000);
    expect(log.map(([what]) => what)).toEqual(['a begins', 'a is told: Released', 'b leads']);
    expect((log[2]?.[1] ?? 0) - settledMs).toBeLessThanOrEqual(2 * ROUND_TRIP_MS);
  });
});

describe('handOver', () => {
  const handed = (leads: Leads, to: string): { readonly log: unknown[] } => {
    const log: unknown[] = [];
    handOver(leads.cluster.backend('watcher'), 'e', to).subscribe({
      next: ({ identity }) => log.push(identity),
      error: (error) => log.push(error.name),
      complete: () => log.push('complete'),
    });
    return { log };
  };

  it('the one that is named leads, before all who are preferred, for as long as it stands', () => {
    const leads = setUp(['a', 'b', 'c']);
    const { cluster } = leads;
    leads.stand('a', { priority: 3 });
    cluster.pass(200);
    leads.stand('b', { priority: 2 });
    cluster.pass(200);
    const c = leads.stand('c', { priority: 1, id: 'pod-c' });
    cluster.pass(200);
    const { log } = handed(leads, 'pod-c');
    cluster.pass(1_000);
    expect(log).toEqual(['pod-c', 'complete']);
    cluster.pass(20_000);
    expect(leads.told).toEqual(['a', 'c']);
    leads.leave('c', c);
    cluster.pass(1_000);
    // Its name goes with it, and the best leads again.
    expect(leads.leading).toEqual(['a']);
    leads.stand('c', { priority: 1, id: 'pod-c' });
    cluster.pass(20_000);
    expect(leads.leading).toEqual(['a']);
  });

  it('errors with CandidateNotFound for one that does not stand there, or leaves before it leads', () => {
    const leads = setUp(['a', 'b']);
    const { cluster } = leads;
    leads.stand('a');
    cluster.pass(200);
    const b = leads.stand('b', { id: 'pod-b' });
    cluster.pass(200);
    const nobody = handed(leads, 'pod-c');
    const leaving = handed(leads, 'pod-b');
    cluster.pass(1_000);
    expect(nobody.log).toEqual(['CandidateNotFound']);
    expect(leaving.log).toEqual([]);
    leads.leave('b', b);
    cluster.pass(1_000);
    expect(leaving.log).toEqual(['CandidateNotFound']);
  });
});
