import { firstValueFrom, lastValueFrom } from 'rxjs';
import { expect, test } from 'vitest';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { Backends, bytes, lockNamed, Stander } from './support.js';

test('what a follower still has in hand when its session has moved to another server changes nothing', async () => {
  await using ensemble = await startZooKeeper({ nodes: 3, syncLimit: 40 });
  const leader = await ensemble.leader();
  const follower = ensemble.nodes.find((node) => node !== leader);
  if (follower === undefined) throw new Error('an ensemble of one');
  await using atFollower = await startProxy({ port: follower.port });
  await using atLeader = await startProxy({ port: leader.port });
  await using backends = new Backends();
  const times = { ttlMs: 20_000, tickTimeMs: 500, requestTimeoutMs: 1_500 };
  const other = backends.connect(leader.port, times);
  await lastValueFrom(other.swap('moved', 'any', bytes('before')));

  atLeader.refuse();
  const hosts = [atFollower, atLeader].map(({ port }) => ({ host: '127.0.0.1', port }));
  const mine = backends.connect(0, { ...times, hosts });
  await lastValueFrom(mine.swap('warm', 'any', bytes('x')));
  const link = ensemble.link(follower, leader);
  link.dropDirection('toServer');
  let late = 0;
  const [marker, roster] = ['written-by-mine', lockNamed('moved')];
  const stopCounting = link.onData((direction, chunk) => {
    if (direction === 'toServer' && (chunk.includes(marker) || chunk.includes('__lock__'))) late++;
  });
  const reached = new Promise<void>((told) => {
    const seen = new Set<string>();
    atFollower.onData((direction, chunk) => {
      if (direction === 'toServer' && chunk.includes(marker)) seen.add('write');
      if (direction === 'toServer' && chunk.includes('__lock__')) seen.add('entry');
      if (seen.size === 2) told();
    });
  });
  const written = lastValueFrom(mine.swap('moved', 'any', bytes(marker)));
  const holder = new Stander(mine, roster);
  await reached;

  await atLeader.heal();
  atFollower.refuse();
  atFollower.resetAll();
  expect((await written).swapped).toBe(true);
  await holder.untilAdmitted(10_000);
  await lastValueFrom(other.swap('moved', 'any', bytes('theirs')));
  await link.heal();
  // Both have come to the leader, and whatever the follower sends after them as well.
  await until(() => late > 0, 5_000, 'what came late');
  stopCounting();
  const through = backends.connect(follower.port, times);
  await lastValueFrom(through.swap('after it', 'any', bytes('x')));

  const cell = await firstWithin(other.cell('moved'), () => true, 5_000, 'the cell');
  expect(new TextDecoder().decode(cell?.value)).toBe('theirs');
  expect(await lastValueFrom(other.look(roster))).toHaveLength(1);
  expect((await firstValueFrom(mine.session$)).state).toBe('live');
}, 60_000);
