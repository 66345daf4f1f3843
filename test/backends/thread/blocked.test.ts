import { randomUUID } from 'node:crypto';
import { type Backend, connect, type Grant, LockLost, lock } from 'conclave';
import { ReplaySubject } from 'rxjs';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type ClientProcess, spawnClient } from '../../../src/testing/processes/client-process.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { RivalCalls } from './rival-process.js';

const TTL_MS = 1_500;
const BLOCK_MS = 4_000;
const LIMIT_MS = 20_000;
const name = 'ledger';
const limit = { timeout: 90_000 };

const stores = { Redis: inject('redisUrl'), etcd: inject('etcdUrl'), ZooKeeper: inject('zookeeperUrl') };

let rival: ClientProcess<RivalCalls, never>;
beforeAll(async () => {
  rival = await spawnClient<RivalCalls>(new URL('./rival-process.ts', import.meta.url));
});
afterAll(() => rival[Symbol.asyncDispose]());

describe.each(Object.entries(stores))('%s, renewed in a thread, while the event loop is blocked', (_, url) => {
  test('what is held stays held for longer than the ttl, and nobody else is admitted', limit, async () => {
    await using held = await hold(url);
    const seen = block(held.grant);
    expect(seen).toEqual({ isValidAtOnce: true, invalidFromNs: undefined });
    expect(await rival.request('admittedAtNs')).toBeUndefined();
    // After all that had waited to be told.
    expect([held.grant.isValid(), held.hasEnded()]).toEqual([true, false]);
    held.release();
    await rivalAdmitted();
  });

  test(
    'for longer than maxStallMs, another is admitted, and isValid says so when it is asked first',
    limit,
    async () => {
      await using held = await hold(url, { maxStallMs: 300 });
      expect(held.grant.isValid()).toBe(true);
      // Stuck: not even isValid is asked, which would give up what is lost.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCK_MS);
      const endNs = process.hrtime.bigint();
      expect(held.grant.isValid()).toBe(false);
      expect(await rivalAdmitted()).toBeLessThan(endNs);
      expect(await held.failure()).toBeInstanceOf(LockLost);
    },
  );

  test('and the store is cut off, isValid says so at the deadline', limit, async () => {
    await using held = await hold(url, {}, true);
    await rival.request('cutIn', 300);
    const { isValidAtOnce, invalidFromNs } = block(held.grant);
    expect([isValidAtOnce, held.grant.isValid()]).toEqual([true, false]);
    expect(invalidFromNs).toBeLessThan(await rivalAdmitted());
    expect(await held.failure()).toBeInstanceOf(LockLost);
    await rival.request('heal');
  });
});

/** Computes, and looks all the time whether the grant is valid still. */
function block({ isValid }: Grant): { isValidAtOnce: boolean; invalidFromNs: bigint | undefined } {
  const isValidAtOnce = isValid();
  let invalidFromNs: bigint | undefined;
  for (const end = performance.now() + BLOCK_MS; performance.now() < end; )
    if (!isValid()) invalidFromNs ??= process.hrtime.bigint();
  return { isValidAtOnce, invalidFromNs };
}

interface Held extends AsyncDisposable {
  readonly grant: Grant;
  hasEnded(): boolean;
  release(): void;
  failure(): Promise<unknown>;
}

/** Resolves when it holds the lock here, and the rival waits for it. */
async function hold(url: string, more: { readonly maxStallMs?: number } = {}, isProxied = false): Promise<Held> {
  const options = { ttlMs: TTL_MS, namespace: `case-${randomUUID()}` };
  const { hostname, port } = new URL(url);
  const way = isProxied ? await rival.request('startProxy', hostname, Number(port)) : { host: hostname, port };
  const through = url.replace(/[^/]+$/, `${way.host}:${way.port}`);
  const backend: Backend = connect(through, { ...options, renewal: 'thread', ...more });
  const grants = new ReplaySubject<Grant>();
  let hasEnded = false;
  const failed = new Promise((resolve) => grants.subscribe({ error: resolve }));
  const holding = lock(backend, name).subscribe(grants);
  void failed.then(() => {
    hasEnded = true;
  });
  const grant = await firstWithin(grants, () => true, LIMIT_MS, 'the lock');
  await rival.request('contend', url, name, options);
  return {
    grant,
    hasEnded: () => hasEnded,
    release: () => holding.unsubscribe(),
    failure: () => failed,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([backend.close(), rival.request('leave')]);
    },
  };
}

async function rivalAdmitted(): Promise<bigint> {
  let admittedAtNs: bigint | undefined;
  const isAdmitted = async (): Promise<boolean> => {
    admittedAtNs = await rival.request('admittedAtNs');
    return admittedAtNs !== undefined;
  };
  await until(isAdmitted, LIMIT_MS, 'the admission of the rival');
  return admittedAtNs ?? 0n;
}
