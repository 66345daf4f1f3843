import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { MAX_NAME_BYTES } from '../../src/backends/shared/keys.js';
import { toUtf8 } from '../../src/backends/shared/utf8.js';
import { type CampaignOptions, type Contender, campaign, candidates, handOver, isSome } from '../../src/index.js';
import { type Cluster, simulate } from '../../src/testing/simulate.js';
import { scripted, virtually } from '../support/virtual-time.js';

interface Candidates {
  readonly cluster: Cluster;
  readonly watcher: Backend;
  /** Who was told that it leads, one after the other. */
  readonly led: readonly string[];
  stand(name: string, options?: CampaignOptions): void;
  handOver(to: string): unknown[];
  line(): readonly Contender[];
}

function setUp(election: string): Candidates {
  const cluster = simulate({ latencyMs: 5 });
  const watcher = cluster.backend('watcher');
  const led: string[] = [];
  let line: readonly Contender[] = [];
  cluster.run('watcher', () =>
    candidates(watcher, election).subscribe((now) => {
      line = now;
    }),
  );
  return {
    cluster,
    watcher,
    led,
    line: () => line,
    stand: (name, options = {}) => {
      const backend = cluster.backend(name);
      cluster.run(name, () =>
        campaign(backend, election, options).subscribe((now) => {
          if (isSome(now)) led.push(name);
        }),
      );
      cluster.pass(200);
    },
    handOver: (to) => {
      const told: unknown[] = [];
      cluster.run('watcher', () =>
        handOver(watcher, election, to).subscribe({
          next: ({ token }) => told.push(token),
          error: (error) => told.push(error.name),
          complete: () => told.push('complete'),
        }),
      );
      cluster.pass(2_000);
      return told;
    },
  };
}

/** The cell in which it stands who is named. */
const cellOf = (election: string): string => `hand-over ${election}`;

describe('handOver', () => {
  it('takes the id of an entry, too', () => {
    const { stand, handOver: hand, led, line } = setUp('e');
    for (const name of ['a', 'b', 'c']) stand(name, { priority: 1 });
    const third = line()[2];
    expect(hand(third?.id ?? '')).toEqual([third?.token, 'complete']);
    expect(led).toEqual(['a', 'c']);
  });

  it('of several who stand under one identity it names the latest', () => {
    const { stand, handOver: hand, led } = setUp('e');
    for (const name of ['a', 'b', 'c']) stand(name, { priority: 1, id: name === 'a' ? 'pod-a' : 'pod' });
    expect(hand('pod')).toEqual([expect.any(BigInt), 'complete']);
    expect(led).toEqual(['a', 'c']);
  });

  it('who leads already is told at once', () => {
    const { stand, handOver: hand, led } = setUp('e');
    for (const name of ['a', 'b']) stand(name, { priority: 1, id: name });
    expect(hand('a')).toEqual([expect.any(BigInt), 'complete']);
    expect(led).toEqual(['a']);
  });

  it('LongNames: elections whose names are as long as names may be do not name each other’s candidates', () => {
    const [one, other] = ['x', 'y'].map((last) => `${'é'.repeat(MAX_NAME_BYTES / 2 - 1)}-${last}`);
    const { cluster, watcher, stand, handOver: hand, led } = setUp(one ?? '');
    for (const name of ['a', 'b', 'c']) stand(name, { priority: name === 'c' ? 2 : 1, id: name });
    expect(led).toEqual(['a', 'c']);
    expect(hand('b')).toEqual([expect.any(BigInt), 'complete']);
    expect(led).toEqual(['a', 'c', 'b']);
    const third = cluster.backend('third');
    cluster.run('third', () => campaign(third, other ?? '', { priority: 1, id: 'z' }).subscribe());
    cluster.pass(500);
    cluster.run('watcher', () => handOver(watcher, other ?? '', 'z').subscribe());
    cluster.pass(2_000);
    // The name of the other election is in the cell now: here nobody is named, and the best leads.
    expect(led).toEqual(['a', 'c', 'b', 'c']);
  });

  it.each([
    ['as long as it may be', 'é'.repeat((MAX_NAME_BYTES - cellOf('').length) / 2), 0],
    ['too long by one character', 'é'.repeat((MAX_NAME_BYTES - cellOf('').length) / 2 + 1), 1],
    ['too long by many', 'é'.repeat(MAX_NAME_BYTES / 2), cellOf('').length / 2],
  ])('the key of its cell is the name of the election, cut off where it is too long: %s', (_how, election, cut) => {
    const { cluster, watcher, stand, handOver: hand } = setUp(election);
    for (const name of ['a', 'b']) stand(name, { priority: 1, id: name });
    expect(hand('b')).toEqual([expect.any(BigInt), 'complete']);
    const cells: boolean[] = [];
    const key = cellOf([...election].slice(0, election.length - cut).join(''));
    cluster.run('watcher', () => watcher.cell(key).subscribe((cell) => cells.push(cell !== undefined)));
    cluster.pass(200);
    expect(cells).toEqual([true]);
  });

  it('ForeignCell: what others have written there names nobody, and breaks nothing', () => {
    for (const text of [
      '',
      '7',
      'null',
      '"e"',
      '{"election":"e","id":5,"token":"1"}',
      '{"election":"e","id":"x","token":"y"}',
    ]) {
      const { cluster, watcher, stand, led } = setUp('e');
      cluster.run('watcher', () => watcher.swap(cellOf('e'), 'any', toUtf8(text)).subscribe());
      cluster.pass(200);
      stand('a', { priority: 1 });
      stand('b', { priority: 2 });
      cluster.pass(2_000);
      expect(led, text).toEqual(['a', 'b']);
    }
  });

  it('ForgottenName: the name of one who has gone is taken out once somebody younger stands there', () => {
    const { cluster, watcher, stand, handOver: hand, led } = setUp('e');
    stand('a', { priority: 1, id: 'a' });
    stand('b', { priority: 1, id: 'b' });
    expect(hand('b')).toEqual([expect.any(BigInt), 'complete']);
    const cells: boolean[] = [];
    cluster.run('watcher', () => watcher.cell(cellOf('e')).subscribe((cell) => cells.push(cell !== undefined)));
    cluster.pass(200);
    expect(cells).toEqual([true]);
    cluster.crash('b');
    stand('c', { priority: 1, id: 'c' });
    cluster.pass(20_000);
    expect(cells).toEqual([true, false]);
    expect(led).toEqual(['a', 'b', 'a']);
  });

  it('a backend without cells says so', () => {
    virtually(({ scheduler, expectObservable }) => {
      const backend = scripted({}, scheduler);
      const without: Backend = Object.assign(Object.create(backend), {
        characteristics: { ...backend.characteristics, cells: false },
      });
      expectObservable(handOver(without, 'e', 'x')).toBe(
        '#',
        undefined,
        expect.objectContaining({ _tag: 'NotSupported' }),
      );
    });
  });
});
