import { lastValueFrom } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { leader } from '../../src/observables/elections/leader.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { groups } from '../../src/observables/groups/groups.js';
import { members } from '../../src/observables/groups/members.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { bytes, consistsOf } from '../../src/testing/conformance/stage.js';
import { virtually } from '../support/virtual-time.js';
import { networkTo, realStores, stageOn, vanish } from './stores.js';

describe('kazoo #151, #218, #450: no watch is lost on reconnect', () => {
  test.concurrent.each(realStores)(
    'on %s, what changed meanwhile is seen, and what changes later too',
    async (_name, store) => {
      const { proxy, way } = await networkTo(store);
      await using _ = proxy;
      await using stage = stageOn(store, 6_000);
      const [looking, acting] = [stage.over(way), stage.backend()];
      const lock$ = lock(looking, 'awaited');
      const round = async (name: string) => {
        await stage.join(acting, 'crew', { id: name, create: true });
        await lastValueFrom(acting.register({ kind: 'group', name }));
        await lastValueFrom(acting.swap('config', 'any', bytes(name)));
        const { held } = await stage.hold(acting, 'awaited');
        const leading = stage.probe(leadership(acting, 'chief'));
        await leading.now((leads) => leads, 'the leadership');
        return { held, leading };
      };
      let acted = await round('before');
      const seen = {
        members: stage.probe(members(looking, 'crew')),
        groups: stage.probe(groups(looking)),
        cell: stage.probe(looking.cell('config')),
        holders: stage.probe(holders(looking, 'awaited')),
        leader: stage.probe(leader(looking, 'chief')),
      };
      for (const probe of Object.values(seen)) await probe.first('the first state');
      const joined = ['before'];
      for (const name of ['first', 'second', 'third']) {
        const waiting = stage.probe(lock$);
        await stage.inLine('awaited', 2);
        vanish(proxy);
        acted.held.unsubscribe();
        acted.leading.unsubscribe();
        await stage.inLine('awaited', 1);
        await stage.inLine('chief', 0, 'election');
        await lastValueFrom(acting.register({ kind: 'group', name: `${name} meanwhile` }));
        await proxy.heal();
        const grant = await waiting.first('the lock that was freed meanwhile');
        await seen.holders.now(([holder]) => holder?.id === grant.id, 'who holds it now');
        await seen.leader.now(({ _tag }) => _tag === 'None', 'that nobody leads');
        await seen.groups.now((ids) => ids.has(`${name} meanwhile`), 'the group');
        waiting.unsubscribe();
        await stage.inLine('awaited', 0);
        // Over the new connection: what its watches tell without any reconnect.
        acted = await round(name);
        joined.push(name);
        await seen.members.now(consistsOf(...joined), 'the member');
        await seen.cell.now((cell) => cell?.value.length === name.length, 'the value');
        await seen.leader.now(({ _tag }) => _tag === 'Some', 'the leader');
      }
      expect(seen.members.values.map(({ size }) => size)).toEqual([1, 2, 3, 4]);
    },
  );
});

describe('consul #1162: a brief outage of the store drops no lock', () => {
  test('nor a leadership, whenever it begins and however often it comes', () => {
    for (let beginsAt = 20; beginsAt < 40; beginsAt += 3) {
      virtually(({ process, partition, heal, at }) => {
        const backend = process();
        const told: string[] = [];
        lock(backend, 'l').subscribe({ error: ({ name }) => told.push(name) });
        leadership(backend, 'e').subscribe((leads) => told.push(`${leads}`));
        for (let outage = 0; outage < 6; outage++) {
          at(beginsAt + outage * 120, () => partition(backend));
          at(beginsAt + outage * 120 + 70, () => heal(backend));
        }
        at(900, () => expect(told).toEqual(['false', 'true']));
      });
    }
  });

  test.concurrent.each(realStores)('%s is killed and started again', async (_name, store) => {
    // What it takes each to start again; a Redis that has just done so admits nobody for one ttl.
    const ttlMs = store.name === 'Redis' ? 4_000 : 12_000;
    await using stage = stageOn(store, ttlMs);
    const server = await stage.server();
    const [mine, theirs] = [stage.over(server), stage.over(server)];
    // Where nobody is known yet, that is the ttl of the first who comes.
    const first = stage.over(server, { ttlMs: 500, renewEveryMs: 100, requestTimeoutMs: 150 });
    await stage.hold(first, 'unused');
    const { grant, held } = await stage.hold(mine, 'ledger');
    const leading = stage.probe(leadership(mine, 'chief'));
    await leading.now((leads) => leads, 'the leadership');
    const rival = stage.probe(lock(theirs, 'ledger'));
    const line = stage.line('ledger', 'lock', theirs);
    await line.now(({ length }) => length === 2, 'the rival in line');
    const states = stage.probe(mine.session$);
    await server.stop();
    await states.now(({ state }) => state === 'suspended', 'the suspended session');
    expect(grant.isValid()).toBe(true);
    await server.start();
    await states.now(({ state }) => state === 'live', 'the session alive again', 20_000);
    expect(states.values.map(({ state }) => state)).toEqual(['live', 'suspended', 'live']);
    expect([grant.isValid(), held.hasEnded, rival.values.length]).toEqual([true, false, 0]);
    expect(leading.values).toEqual([false, true]);
    expect(line.values.every(({ length }) => length > 0)).toBe(true);
    held.unsubscribe();
    const { token } = await rival.first('the lock for the rival', 15_000);
    expect(token).toBeGreaterThan(grant.token);
  });
});

describe('tooz: stop() does not hang while the store is down', () => {
  const closeTimeoutMs = 400;

  const ways = ['does not answer', 'is gone'] as const;
  const cases = realStores.flatMap(([name, store]) => ways.map((how) => [name, how, store] as const));

  test.concurrent.each(cases)('close() ends in time while %s %s', async (_name, how, store) => {
    const { proxy, way } = await networkTo(store);
    await using _ = proxy;
    await using stage = stageOn(store);
    const backend = stage.over(way, { closeTimeoutMs });
    const { grant, held } = await stage.hold(backend, 'ledger');
    await stage.join(backend, 'crew', { create: true });
    const leading = stage.probe(leadership(backend, 'chief'));
    await leading.now((leads) => leads, 'the leadership');
    const waiting = stage.probe(lock(backend, 'ledger'));
    if (how === 'is gone') vanish(proxy);
    else proxy.blackhole();
    const startedAt = performance.now();
    await backend.close();
    expect(performance.now() - startedAt).toBeLessThan(closeTimeoutMs + 700);
    expect([grant.isValid(), held.hasEnded, waiting.hasEnded, leading.last]).toEqual([false, true, true, false]);
    await held.completion('the lock');
    // What could not be released ends with its session.
    await stage.hold(stage.backend(), 'ledger');
  });

  test.concurrent.each(realStores)('close() ends at once while %s was never reached', async (_name, store) => {
    const { proxy, way } = await networkTo(store);
    await using _ = proxy;
    await using stage = stageOn(store);
    proxy.refuse();
    const backend = stage.over(way);
    const waiting = stage.probe(lock(backend, 'ledger'));
    const failing = stage.probe(backend.session$);
    await failing.now((session) => session.state === 'connecting' && session.attempt > 0, 'a failed attempt');
    const startedAt = performance.now();
    await backend.close();
    expect(performance.now() - startedAt).toBeLessThan(500);
    await waiting.completion('the lock');
  });
});
