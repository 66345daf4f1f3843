import {
  type Backend,
  BackendClosed,
  breakLock,
  candidates,
  createGroup,
  deleteGroup,
  groups,
  holders,
  join,
  leadership,
  lock,
  memberMap,
  members,
  tryLock,
  withLock,
} from 'conclave';
import type { Observable } from 'rxjs';
import { expect } from 'vitest';
import { until } from '../processes/probes.js';
import { spawnPeer } from './remote.js';
import { bytes, type Stage, type Suite } from './stage.js';

export function closingCases({ hazard, quirks }: Suite): void {
  hazard('close while holding and waiting leaves nothing behind, without waiting for any expiry', async (stage) => {
    const backend = stage.backend();
    await stage.hold(backend, 'held');
    await stage.hold(stage.watcher, 'waited for');
    stage.probe(lock(backend, 'waited for'));
    stage.probe(leadership(backend, 'chief'));
    await stage.join(backend, 'crew', { id: 'a', create: true });
    await stage.inLine('waited for', 2);
    await stage.inLine('chief', 1, 'election');
    await backend.close();
    expect(await stage.entries('held')).toEqual([]);
    expect(await stage.entries('waited for')).toHaveLength(1);
    expect(await stage.entries('chief', 'election')).toEqual([]);
    expect(await stage.entries('crew', 'group')).toEqual([]);
  });

  hazard('streams complete at close; leadership says false before', async (stage) => {
    const backend = stage.backend();
    const leading = stage.probe(leadership(backend, 'chief'));
    await leading.now((leads) => leads, 'the leadership');
    const { grant, held } = await stage.hold(backend, 'ledger');
    const { joined, membership } = await stage.join(backend, 'crew', { id: 'a', create: true });
    const waiting = stage.probe(lock(backend, 'ledger'));
    const streams: Observable<unknown>[] = [
      members(backend, 'crew'),
      groups(backend),
      candidates(backend, 'chief'),
      holders(backend, 'ledger'),
      backend.cell('config'),
      backend.session$,
    ];
    const looking = streams.map((stream) => stage.probe(stream));
    for (const each of looking) await each.first('a state');
    const faults = stage.probe(backend.faults$);
    await backend.close();
    for (const each of [leading, held, joined, waiting, faults, ...looking]) await each.completion('a stream');
    expect(leading.values).toEqual([false, true, false]);
    expect([grant.isValid(), grant.signal.aborted]).toEqual([false, true]);
    expect([membership.isValid(), membership.signal.aborted]).toEqual([false, true]);
    expect(faults.values).toEqual([]);
  });

  hazard('whatever is subscribed to after close errors with BackendClosed, and starts nothing', async (stage) => {
    const backend = stage.backend();
    await stage.hold(backend, 'ledger');
    await backend.close();
    const all = sources(backend);
    expect(all.length).toBeGreaterThan(15);
    for (const source of all) {
      const error = await stage.probe(source).failure('the backend is closed');
      expect(error).toBeInstanceOf(BackendClosed);
    }
    expect(await stage.entries('ledger')).toEqual([]);
  });

  hazard('close may be called again, while it is under way too, and by await using', async (stage) => {
    const backend = stage.backend();
    await stage.hold(backend, 'ledger');
    await Promise.all([backend.close(), backend.close(), backend[Symbol.asyncDispose]()]);
    await backend.close();
    expect(await stage.entries('ledger')).toEqual([]);
  });

  hazard('a backend that was never used closes without asking the store', async (stage) => {
    const link = await stage.link();
    link.cut();
    const backend = stage.over(link, { closeTimeoutMs: 60_000 });
    expect(await elapsedMs(() => backend.close())).toBeLessThan(500);
  });

  for (const [hazardName, use] of [
    ['holding', (stage: Stage, backend: Backend) => stage.hold(backend, 'ledger')],
    ['waiting', waitInLine],
  ] as const) {
    hazard(
      `close while ${hazardName} and cut off returns within its bound, and leaves nothing after the lifetime`,
      async (stage) => {
        const link = await stage.link();
        const closeTimeoutMs = stage.options.ttlMs / 4;
        const backend = stage.over(link, { closeTimeoutMs });
        await use(stage, backend);
        const before = (await stage.entries('ledger')).length;
        link.cut();
        expect(await elapsedMs(() => backend.close())).toBeLessThan(closeTimeoutMs + 500);
        const line = stage.line('ledger');
        await line.now(({ length }) => length === before - 1, 'the line without it', stage.expiryMs);
        await link.heal();
        await until(() => link.connections() === 0, stage.promptMs, 'the end of its connections');
      },
    );
  }

  hazard('close while the store is stopped returns within its bound', async (stage) => {
    const server = await stage.server();
    const closeTimeoutMs = stage.options.ttlMs / 4;
    const backend = stage.over(server, { closeTimeoutMs });
    const { held } = await stage.hold(backend, 'ledger');
    await server.stop();
    expect(await elapsedMs(() => backend.close())).toBeLessThan(closeTimeoutMs + 500);
    await held.completion('the lock');
  });

  hazard('close while it cannot connect returns at once, and ends those who wait', async (stage) => {
    const link = await stage.link();
    link.cut();
    const backend = stage.over(link);
    const [waiting, looking] = [stage.probe(lock(backend, 'ledger')), stage.probe(members(backend, 'crew'))];
    const leading = stage.probe(leadership(backend, 'chief'));
    const creating = stage.probe(createGroup(backend, 'crew'));
    expect(await elapsedMs(() => backend.close())).toBeLessThan(500);
    await waiting.completion('the lock');
    await looking.completion('the members');
    await leading.completion('the leadership');
    expect(leading.values).toEqual([false]);
    expect(await creating.failure('it did not happen')).toBeInstanceOf(BackendClosed);
  });

  hazard('after close nothing keeps the process alive: no socket, no timer', async (stage) => {
    await using peer = await spawnPeer(quirks, stage.options);
    await peer.request('hold', 'ledger');
    await peer.request('joinGroup', 'crew', 'a');
    await peer.request('lead', 'chief');
    await peer.request('standInLine', 'ledger');
    const resources = await peer.request('close');
    expect(resources.filter((resource) => /TCP|UDP|TLS|Timeout/.test(resource))).toEqual([]);
    await peer.request('endByItself');
    const patience = new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`the process is still there, kept alive by ${resources}`)), stage.soonMs);
    });
    expect(await Promise.race([peer.ended, patience])).toEqual({ code: 0, signal: null });
  });
}

async function waitInLine(stage: Stage, backend: Backend): Promise<void> {
  await stage.hold(stage.watcher, 'ledger');
  stage.probe(lock(backend, 'ledger'));
  await stage.inLine('ledger', 2);
}

async function elapsedMs(act: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await act();
  return performance.now() - startMs;
}

function sources(backend: Backend): readonly Observable<unknown>[] {
  const roster = { kind: 'group', name: 'crew' } as const;
  return [
    backend.enter(roster, { mode: 'shared', permits: 1, payload: bytes('') }),
    backend.entries(roster),
    backend.evict(roster, 'nobody'),
    backend.register(roster),
    backend.unregister(roster),
    backend.registered('group'),
    backend.cell('config'),
    backend.swap('config', 'any', bytes('')),
    lock(backend, 'ledger'),
    tryLock(backend, 'ledger'),
    withLock(backend, 'ledger', () => Promise.resolve()),
    breakLock(backend, 'ledger'),
    holders(backend, 'ledger'),
    leadership(backend, 'chief'),
    candidates(backend, 'chief'),
    join(backend, 'crew', { create: true }),
    members(backend, 'crew'),
    memberMap(backend, 'crew'),
    createGroup(backend, 'crew'),
    deleteGroup(backend, 'crew'),
    groups(backend),
  ];
}
