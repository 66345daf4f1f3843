import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../src/testing/processes/probes.js';
import { askHttp } from '../../src/testing/servers/ask.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import type { Cell } from './cell.js';
import type { Fault } from './faults.js';
import { type Actor, longLock } from './laboratory.js';
import { ttlMs } from './stores.js';

async function removeMember(member: TestServer, by: TestServer): Promise<void> {
  const api = `http://${by.host}:${by.port}/v3/cluster/member`;
  const { members }: { members: readonly { ID: string; clientURLs: readonly string[] }[] } = JSON.parse(
    await askHttp(`${api}/list`, {}),
  );
  const ID = members.find(({ clientURLs }) => clientURLs.some((url) => url.endsWith(`:${member.port}`)))?.ID;
  if (ID === undefined) throw new Error(`${member} is no member`);
  await askHttp(`${api}/remove`, { ID });
  // Its process ends a little after that.
  await until(() => hasEnded(member), ttlMs, `the end of ${member}`);
}

async function hasEnded({ host, port }: TestServer): Promise<boolean> {
  return askHttp(`http://${host}:${port}/health`, undefined, 200).then(
    () => false,
    () => true,
  );
}

/** So that these are connected to `home`, though they know the others. */
async function settle(guests: readonly Actor[], home: TestServer): Promise<void> {
  const elsewhere = guests.flatMap(({ nodes, proxies }) => proxies.filter((_, index) => nodes[index] !== home));
  for (const proxy of elsewhere) {
    proxy.refuse();
    proxy.resetAll();
  }
  await delay(ttlMs / 2);
  await Promise.all(elsewhere.map((proxy) => proxy.heal()));
}

/** What a member that was removed refuses, it goes on refusing: whoever is connected to it must go elsewhere. */
export const removedMember: Cell = {
  name: 'member of the store removed, clients on it',
  // A ttl, an election timeout, and the renewal by which a client learns of it.
  nextHolderMs: 1.5 * ttlMs + 2_000,
  membershipMs: 1.5 * ttlMs + 2_000,
  scenario: async (run) => {
    run.round();
    const { cluster } = run.store;
    if (cluster === undefined) throw new Error('a cluster is needed');
    const leader = await cluster.leader();
    const home = cluster.nodes.find((node) => node !== leader);
    if (home === undefined) throw new Error('a cluster of one');
    const guests = run.actors.filter((_, index) => index % 2 === 0);
    await settle(guests, home);
    await run.untilAllTakePart();
    let holder = await run.untilHeld(longLock);
    while (!guests.includes(holder)) {
      const next = run.nextHolder(longLock);
      await holder.process.request('release', longLock);
      holder = await next;
    }
    const removal: Fault = {
      name: `remove ${home.port}`,
      reaches: guests,
      begin: () => removeMember(home, leader),
      end: () => {},
    };
    await run.during(removal, ttlMs / 2);
    await run.untilAllTakePart();
    await delay(2 * ttlMs);
    await run.untilAllTakePart();
  },
};
