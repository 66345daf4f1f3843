import { randomUUID } from 'node:crypto';
import { filter, firstValueFrom, map, type Observable, toArray } from 'rxjs';
import { describe, expect, inject, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { connect } from '../../src/connect.js';
import { leadership, lock } from '../../src/index.js';
import { type ClientProcess, spawnClient } from '../../src/testing/processes/client-process.js';
import { firstWithin } from '../../src/testing/processes/until.js';
import type { Deployed, FromDeployed } from './deployed-process.js';

const TTL_MS = 2_000;
const JOB_MS = 6_000;
const URLS = { redis: inject('redisUrl'), etcd: inject('etcdUrl'), zookeeper: inject('zookeeperUrl') } as const;

type Client = ClientProcess<Record<string, never>, FromDeployed>;

const spawn = (settings: Deployed): Promise<Client> =>
  spawnClient(new URL('./deployed-process.ts', import.meta.url), [JSON.stringify(settings)]);

/** A process, and a backend of this one that shares its namespace. */
async function play(
  settings: Omit<Deployed, 'namespace' | 'ttlMs'> & { ttlMs?: number },
  act: (client: Client, next: Backend) => Promise<void>,
): Promise<void> {
  const both = { ttlMs: TTL_MS, namespace: `deploy-${randomUUID()}`, ...settings };
  await using next = connect(both.url, { ttlMs: both.ttlMs, namespace: both.namespace });
  await using client = await spawn(both);
  await act(client, next);
}

/** Waits in line, and resolves with when it was admitted, by the clock that all processes share. */
async function behind(next: Backend, kind: 'lock' | 'election', name: string): Promise<() => Promise<bigint>> {
  const admitted$: Observable<unknown> =
    kind === 'lock' ? lock(next, name) : leadership(next, name).pipe(filter((leads) => leads));
  const atNs = firstValueFrom(admitted$.pipe(map(() => process.hrtime.bigint())));
  await firstWithin(next.entries({ kind, name }), ({ length }) => length === 2, 10_000, 'a line of two');
  return () => atNs;
}

const aboutJob = (message: FromDeployed, what: FromDeployed['what'], job: string): boolean =>
  message.what === what && 'job' in message && message.job === job;

const msFrom = (fromNs: bigint, toNs: bigint): number => Number(toNs - fromNs) / 1e6;

/** All that a process has told, once it has ended. */
function toldBy(client: Client): Promise<readonly FromDeployed[]> {
  return firstValueFrom(client.messages$.pipe(toArray()));
}

describe.each(Object.entries(URLS))('a deploy on %s', (_, url) => {
  it(
    'CutByADeploy: jobs of three lifetimes are done after kill -TERM, not aborted, and the next follows within 500 ms',
    {
      timeout: 60_000,
    },
    () =>
      play({ url, jobMs: JOB_MS, drainMs: 20_000 }, async (client, next) => {
        const jobs = ['promise', 'observable', 'leader'] as const;
        for (const job of jobs)
          await firstWithin(client.messages$, (message) => aboutJob(message, 'begun', job), 20_000, `the job ${job}`);
        const line = [];
        for (const job of jobs) line.push(await behind(next, job === 'leader' ? 'election' : 'lock', job));
        process.kill(client.pid, 'SIGTERM');
        const nextNs = await Promise.all(line.map((admitted) => admitted()));
        expect(await client.ended).toEqual({ code: null, signal: 'SIGTERM' });
        const told = await toldBy(client);
        for (const [i, job] of jobs.entries()) {
          const done = told.findIndex((message) => aboutJob(message, 'done', job));
          const aborted = told.findIndex((message) => aboutJob(message, 'aborted', job));
          // Released, and so aborted, when it was done.
          expect({ job, done, order: done >= 0 && done < aborted }).toMatchObject({ job, order: true });
          const { isValid, atNs } = told[done] as Extract<FromDeployed, { what: 'done' }>;
          expect({ job, isValid }).toEqual({ job, isValid: true });
          const afterMs = msFrom(atNs, nextNs[i] ?? 0n);
          console.log(`${url.split(':')[0]}: ${job} followed ${afterMs.toFixed(1)} ms after its end`);
          expect(afterMs).toBeGreaterThanOrEqual(0);
          expect(afterMs).toBeLessThan(500);
        }
        expect(told.some(({ what }) => what === 'closed')).toBe(true);
      }),
  );

  it('at drainMs a job that goes on is aborted, and the next follows when its session ends', { timeout: 60_000 }, () =>
    play({ url, jobMs: 60_000, drainMs: 1_000 }, async (client, next) => {
      await firstWithin(client.messages$, (message) => aboutJob(message, 'begun', 'observable'), 20_000, 'the job');
      const admitted = await behind(next, 'lock', 'observable');
      process.kill(client.pid, 'SIGTERM');
      await firstWithin(client.messages$, (message) => aboutJob(message, 'aborted', 'observable'), 2_000, 'the abort');
      await admitted();
      expect(await client.ended).toEqual({ code: null, signal: 'SIGTERM' });
    }),
  );
});

describe('beside others who listen for the signal', () => {
  const LONG_TTL_MS = 8_000;
  it.each(['once', 'nest', 'both'] as const)(
    'CutShort: who raises the signal again while the backend closes (%s) does not make the next one wait for the ttl',
    { timeout: 60_000 },
    (beside) =>
      play({ url: URLS.redis, beside, ttlMs: LONG_TTL_MS }, async (client, next) => {
        await firstWithin(client.messages$, ({ what }) => what === 'leading', 20_000, 'the lead');
        const admitted = await behind(next, 'election', 'chief');
        const fromNs = process.hrtime.bigint();
        process.kill(client.pid, 'SIGTERM');
        const afterMs = msFrom(fromNs, await admitted());
        console.log(`beside ${beside}: the next led after ${afterMs.toFixed(1)} ms`);
        expect(afterMs).toBeLessThan(1_000);
        expect(await client.ended).toEqual({ code: null, signal: 'SIGTERM' });
      }),
  );

  it.each(['both', 'thrice'] as const)(
    'CutShort: a job is done though others (%s) raise the signal again while it drains',
    { timeout: 60_000 },
    (beside) =>
      play({ url: URLS.redis, beside, jobMs: 3_000, drainMs: 20_000 }, async (client) => {
        await firstWithin(client.messages$, (message) => aboutJob(message, 'begun', 'promise'), 20_000, 'the job');
        process.kill(client.pid, 'SIGTERM');
        expect(await client.ended).toEqual({ code: null, signal: 'SIGTERM' });
        const told = await toldBy(client);
        expect(told.filter(({ what }) => what === 'done')).toHaveLength(3);
        expect(told.some(({ what }) => what === 'closed')).toBe(true);
      }),
  );

  it('what cannot be helped: who calls process.exit() leaves the others to wait for the ttl', { timeout: 60_000 }, () =>
    play({ url: URLS.redis, beside: 'exit' }, async (client, next) => {
      await firstWithin(client.messages$, ({ what }) => what === 'leading', 20_000, 'the lead');
      const admitted = await behind(next, 'election', 'chief');
      const fromNs = process.hrtime.bigint();
      process.kill(client.pid, 'SIGTERM');
      expect(await client.ended).toEqual({ code: 0, signal: null });
      expect(msFrom(fromNs, await admitted())).toBeGreaterThan(500);
    }),
  );
});
