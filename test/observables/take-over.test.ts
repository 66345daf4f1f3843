import { concat, NEVER, of, throwError } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { BackendClosed, OutcomeUnknown, PermissionDenied, PlaceLost } from '../../src/backends/errors.js';
import { type CampaignOptions, campaign, candidates, isSome } from '../../src/index.js';
import { enveloped } from '../../src/observables/holding/envelope.js';
import { type Cluster, simulate } from '../../src/testing/simulate.js';
import { entryOf, placeOf, type Script, scripted, virtually } from '../support/virtual-time.js';

const TTL_MS = 1_000;

/** What each process is told, and the line as it stands in the end. */
function setUp() {
  const cluster = simulate({ ttlMs: TTL_MS, latencyMs: 5 });
  const log: Record<string, unknown[]> = {};
  let line: unknown[] = [];
  const stand = (process: string, options: CampaignOptions = { id: 'pod-0', takeOver: true }): void => {
    const told: unknown[] = [];
    log[process] = told;
    cluster.run(process, () =>
      campaign(backendOf(cluster, process), 'e', { data: process, ...options }).subscribe({
        next: (now) => told.push(isSome(now) ? 'leads' : '-'),
        error: (error) => told.push(error.name),
      }),
    );
  };
  for (const process of ['a', 'b', 'c', 'watcher']) backendOf(cluster, process);
  candidates(cluster.backend('watcher'), 'e').subscribe((now) => {
    line = now.map(({ data }) => (isSome(data) ? data.value : undefined));
  });
  return { cluster, log, stand, line: () => line };
}

const backendOf = (cluster: Cluster, process: string) => cluster.backend(process, { maxBackoffMs: 200 });

describe('takeOver', () => {
  it('one that was killed and started again leads at once, not after the ttl', () => {
    const { cluster, log, stand, line } = setUp();
    stand('a');
    cluster.pass(100);
    cluster.crash('a');
    stand('b');
    cluster.pass(50);
    expect(log).toEqual({ a: ['-', 'leads'], b: ['-', 'leads'] });
    expect(line()).toEqual(['b']);
  });

  it('NoDuel: an earlier self that is alive is told, and does not take the place back', () => {
    const { cluster, log, stand, line } = setUp();
    stand('a');
    cluster.pass(100);
    stand('b');
    cluster.pass(10 * TTL_MS);
    expect(log).toEqual({ a: ['-', 'leads', '-', 'CandidateReplaced'], b: ['-', 'leads'] });
    expect(line()).toEqual(['b']);
  });

  it('nor does one that was cut off meanwhile, and stands again in another session', () => {
    const { cluster, log, stand, line } = setUp();
    stand('a');
    cluster.pass(100);
    cluster.partition('a', 3 * TTL_MS);
    cluster.pass(200);
    stand('b');
    cluster.pass(10 * TTL_MS);
    expect(log).toEqual({ a: ['-', 'leads', '-', 'CandidateReplaced'], b: ['-', 'leads'] });
    expect(line()).toEqual(['b']);
  });

  it('LatestStays: the later one takes its place back from an earlier that stood again while it was away itself', () => {
    const { cluster, log, stand, line } = setUp();
    stand('a');
    cluster.pass(100);
    cluster.partition('a', 2 * TTL_MS);
    cluster.pass(200);
    stand('b');
    cluster.pass(200);
    cluster.partition('b', 4 * TTL_MS);
    cluster.pass(3 * TTL_MS);
    expect(log['a']?.at(-1)).toBe('leads');
    cluster.pass(3 * TTL_MS);
    expect(log['a']?.at(-1)).toBe('CandidateReplaced');
    expect(log['b']?.at(-1)).toBe('leads');
    expect(line()).toEqual(['b']);
  });

  it('keeps its place where there is only itself, through losses and under other ids', () => {
    const { cluster, log, stand, line } = setUp();
    stand('a');
    cluster.pass(100);
    stand('b', { id: 'pod-1', takeOver: true });
    cluster.pass(100);
    expect(line()).toEqual(['a', 'b']);
    cluster.partition('a', 2 * TTL_MS);
    cluster.pass(5 * TTL_MS);
    expect(line()).toEqual(['b', 'a']);
    expect(log).toEqual({ a: ['-', 'leads', '-'], b: ['-', 'leads'] });
  });

  it('without it, who stands under the same id waits like anybody else', () => {
    const { cluster, log, stand, line } = setUp();
    stand('a', { id: 'pod-0' });
    cluster.pass(100);
    stand('b', { id: 'pod-0' });
    cluster.pass(5 * TTL_MS);
    expect(log).toEqual({ a: ['-', 'leads'], b: ['-'] });
    stand('c', { id: 'pod-0', takeOver: true });
    cluster.pass(5 * TTL_MS);
    expect(log).toMatchObject({ a: ['-', 'leads', '-', 'CandidateReplaced'], b: ['-', 'CandidateReplaced'] });
    expect(line()).toEqual(['c']);
  });
});

describe('who looks for others under its identity', () => {
  const roster = 'election e';
  /** Stands as e5, and again as e6 where it loses that, and tells what it has asked for. */
  const callsOf = (options: CampaignOptions, isLost: boolean, script: Script = {}): readonly string[] => {
    let calls: readonly string[] = [];
    virtually(({ scheduler }) => {
      const lost = throwError(() => new PlaceLost('election "e"', 'session lost'));
      const first = concat(of(placeOf(5n)), isLost ? lost : NEVER);
      const backend = scripted({ enter: [first, concat(of(placeOf(6n)), NEVER)], ...script }, scheduler);
      const errors: unknown[] = [];
      const standing = campaign(backend, 'e', options).subscribe({ error: (error) => errors.push(error) });
      calls = [...backend.calls, ...errors.map(String)];
      standing.unsubscribe();
    });
    return calls;
  };
  const enter = `enter ${roster}`;
  const look = `look ${roster}`;
  const before = { ...entryOf('e2', 2n), payload: enveloped(new Uint8Array(), { identity: 'me', owner: 'x' }) };

  it('is who is to take over, and who has lost its place under it', () => {
    expect(callsOf({ id: 'me' }, false)).toEqual([enter]);
    expect(callsOf({ id: 'me' }, true)).toEqual([enter, enter, look]);
    expect(callsOf({ id: 'me', takeOver: true }, false)).toEqual([enter, look]);
    expect(callsOf({}, true)).toEqual([enter, enter]);
  });

  it('looks once for each entry, however often it is told where it stands', () => {
    const twice = concat(of(placeOf(5n, false), placeOf(5n)), NEVER);
    expect(callsOf({ id: 'me', takeOver: true }, false, { enter: twice })).toEqual([enter, look]);
  });

  it.each([
    ['its session was lost meanwhile', new OutcomeUnknown('scripted', 'it', undefined)],
    ['its backend was closed meanwhile', new BackendClosed('scripted')],
  ])('says nothing where %s', (_what, error) => {
    const failing = throwError(() => error);
    expect(callsOf({ id: 'me', takeOver: true }, false, { look: failing })).toEqual([enter, look]);
    expect(callsOf({ id: 'me', takeOver: true }, false, { look: of([before]), evict: failing })).toEqual([
      enter,
      look,
      `evict ${roster} e2`,
    ]);
  });

  it('passes what it is refused with', () => {
    const denied = new PermissionDenied('scripted', 'it');
    const refused = { look: of([before]), evict: throwError(() => denied) };
    expect(callsOf({ id: 'me', takeOver: true }, false, refused).at(-1)).toBe(String(denied));
  });
});
