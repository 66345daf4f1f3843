import { setTimeout as delay } from 'node:timers/promises';
import type { TestServer } from '../../src/testing/servers/server.js';
import type { Cell } from './cell.js';
import { churn } from './churn.js';
import { dividedItems } from './dividing.js';
import { clockLeaps, cut, delayed, madeReplica, refused, serverDown, serverStopped, throttled } from './faults.js';
import { type Actor, election, longLock, quietLock, type Run } from './laboratory.js';
import { preferredCandidates, takingOver } from './preferred.js';
import { historyCells } from './redis-history.js';
import { scheduledTicks } from './schedules.js';
import { sharingCells } from './sharing.js';
import { type StoreName, ttlMs } from './stores.js';
import { suspensionCells } from './suspension.js';
import { unwatchedDeath } from './unwatched.js';

/** What the client sends up to its deadline arrives, if late: the store counts its ttl from the last of it. */
const heardToTheLastMs = 2 * ttlMs + 1_000;
/** A server that begins to lead gives each lease its ttl anew, and etcd an election timeout of 1 s more. */
const afterRestartMs: Record<StoreName, number> = {
  redis: ttlMs + 1_000,
  etcd: ttlMs + 2_000,
  zookeeper: ttlMs + 1_000,
};
/** Longer than a session lives. */
const overTtlMs = 1.6 * ttlMs;

/** Holds the long lock or leads: whoever is broken now held something. */
async function someHolder(run: Run): Promise<{ holder: Actor; untilNext: () => Promise<unknown> }> {
  const roster = run.random.pick([longLock, election]);
  const holder = await run.untilHeld(roster);
  return { holder, untilNext: () => run.untilHeld(roster, holder) };
}

async function times(run: Run, rounds: number, round: () => Promise<unknown>): Promise<void> {
  for (let index = 0; index < rounds; index += 1) {
    run.round();
    await round();
  }
}

/** The last renewal was received well before its reply was: the store counts from then. */
export const delayedThenCut: Cell = {
  name: 'partition: replies delayed, then requests lost',
  scenario: (run) =>
    times(run, 3, async () => {
      const { holder, untilNext } = await someHolder(run);
      // Less than a request may take, and longer than the guard.
      await run.during(delayed([holder], { toClientMs: 0.23 * ttlMs }), async () => {
        await delay(0.8 * ttlMs);
        await Promise.all([run.during(cut([holder], 'toServer'), overTtlMs), untilNext()]);
      });
      await run.untilAllTakePart();
    }),
};

/** The holder is busy with guarded work that asks before each step whether it may go on. */
export const blockedEventLoop: Cell = {
  name: 'blocked event loop',
  scenario: (run) =>
    times(run, 4, async () => {
      const { holder, untilNext } = await someHolder(run);
      const asks = run.rounds % 2 === 0;
      await Promise.all([holder.process.request('block', overTtlMs, asks), untilNext()]);
      await run.untilAllTakePart();
    }),
};

/** Set forward, it may be a machine that was suspended, so it costs a session; set back, it changes nothing. */
const wallClockOfClient: Cell = {
  name: 'wall clock of the client leaps',
  scenario: (run) =>
    times(run, 8, async () => {
      const { holder, untilNext } = await someHolder(run);
      const forward = run.rounds % 2 === 0;
      const ms = (forward ? 1 : -1) * run.random.pick([0.2 * ttlMs, ttlMs, 3_600_000]);
      run.note(`wall clock of ${holder.name} leaps by ${ms} ms`);
      // What leaps over the deadline costs what is held; anything less costs nothing.
      const next = ms >= ttlMs ? untilNext() : delay(0.4 * ttlMs);
      holder.process.clock.leap(ms);
      await next;
      await run.untilAllTakePart();
    }),
};

/** It leaps while one who holds something is cut off, who must have given that up before the next one has it. */
const clockOfServer: Cell = {
  name: 'clock of the server leaps',
  scenario: (run) => {
    const { clock } = run.store;
    if (clock === undefined) throw new Error(`the clock of ${run.store.name} cannot be shifted`);
    // Below what Redis counts at most from one script to the next, and beyond it.
    const steps = [0.05 * ttlMs, 0.3 * ttlMs, 3_600_000];
    return times(run, 5, async () => {
      const { holder, untilNext } = await someHolder(run);
      const step = run.random.pick(steps);
      // Each leap back takes away what had passed since the last script, which may be a renewal's period.
      const leaps =
        run.rounds % 3 === 0
          ? clockLeaps(clock, -step, run.random.between(0.6 * ttlMs, ttlMs))
          : clockLeaps(clock, step, run.random.between(30, 300));
      await run.during(leaps, () => Promise.all([run.during(cut([holder]), overTtlMs), untilNext()]));
      await run.untilAllTakePart();
    });
  },
};

/** Every cell that one server can be put into. */
export function matrixOf(store: StoreName): readonly Cell[] {
  return [
    // Programs in Go ask the kernel for the time, which cannot be set for one of them alone. First, since a Redis that
    // was promoted forgets its replicas after an hour by its own clock, and admits nobody for a ttl then.
    ...(store === 'etcd' ? [] : [clockOfServer]),
    {
      name: 'client crash',
      scenario: (run) =>
        times(run, 5, async () => {
          const { holder, untilNext } = await someHolder(run);
          await Promise.all([run.kill(holder), run.enlistAnother(), untilNext()]);
        }),
    },
    {
      name: 'client pause beyond the ttl',
      scenario: (run) =>
        times(run, 4, async () => {
          const { holder, untilNext } = await someHolder(run);
          await Promise.all([run.pause(holder, overTtlMs + run.random.between(0, 800)), untilNext()]);
          await run.untilAllTakePart();
        }),
    },
    blockedEventLoop,
    {
      name: 'server restart, data kept',
      nextHolderMs: afterRestartMs[store],
      scenario: (run) =>
        times(run, 4, async () => {
          await run.during(serverDown(onlyServer(run), { keepData: true }), run.random.between(0, ttlMs));
          await run.untilAllTakePart();
        }),
    },
    ...(store === 'redis'
      ? [
          {
            name: 'server restart, data lost',
            scenario: (run: Run) =>
              times(run, 4, async () => {
                await run.during(serverDown(onlyServer(run), { keepData: false }), run.random.between(0, ttlMs));
                await run.untilAllTakePart();
              }),
          },
          {
            name: 'server refuses writes, as a replica, and is promoted',
            scenario: (run: Run) =>
              times(run, 4, async () => {
                await run.during(madeReplica(onlyServer(run)), run.random.between(0.2 * ttlMs, 1.6 * ttlMs));
                await run.untilAllTakePart();
              }),
          },
          ...historyCells,
        ]
      : []),
    {
      name: 'server pause shorter than the ttl',
      scenario: (run) =>
        times(run, 5, async () => {
          await run.during(serverStopped(onlyServer(run)), run.random.between(ttlMs * 0.1, ttlMs * 0.7));
          await run.untilAllTakePart();
        }),
    },
    {
      name: 'server pause longer than the ttl',
      scenario: (run) =>
        times(run, 3, async () => {
          await run.during(serverStopped(onlyServer(run)), run.random.between(ttlMs * 1.2, ttlMs * 2));
          await run.untilAllTakePart();
        }),
    },
    {
      name: 'partition: black hole',
      scenario: (run) =>
        times(run, 4, async () => {
          const { holder, untilNext } = await someHolder(run);
          await Promise.all([run.during(cut([holder]), overTtlMs), untilNext()]);
          await run.untilAllTakePart();
        }),
    },
    {
      name: 'partition: black hole for everybody',
      scenario: (run) =>
        times(run, 3, async () => {
          await run.during(cut(run.actors), run.random.between(ttlMs * 0.2, ttlMs * 1.6));
          await run.untilAllTakePart();
        }),
    },
    {
      name: 'partition: reset',
      scenario: (run) =>
        times(run, 10, async () => {
          const { holder } = await someHolder(run);
          const whom = run.random.pick([[holder], run.actors]);
          await run.during(refused(whom), run.random.between(0, ttlMs * 0.8));
          await run.untilAllTakePart();
        }),
    },
    {
      name: 'partition: delay',
      nextHolderMs: heardToTheLastMs,
      scenario: (run) =>
        times(run, 4, async () => {
          const { holder } = await someHolder(run);
          const whom = run.random.pick([[holder], run.actors]);
          const ms = run.random.pick([50, 250, 700, ttlMs]);
          await run.during(delayed(whom, run.random.pick([{ toServerMs: ms }, { toClientMs: ms }])), overTtlMs);
          await run.untilAllTakePart();
        }),
    },
    delayedThenCut,
    {
      name: 'partition: throttled',
      nextHolderMs: heardToTheLastMs,
      scenario: (run) =>
        times(run, 2, async () => {
          await run.during(throttled(run.actors, run.random.between(2_000, 10_000)), overTtlMs);
          await run.untilAllTakePart();
        }),
    },
    {
      name: 'partition: requests lost',
      scenario: (run) => oneWay(run, 'toServer'),
    },
    {
      name: 'partition: replies lost',
      nextHolderMs: heardToTheLastMs,
      scenario: (run) => oneWay(run, 'toClient'),
    },
    {
      name: 'lost replies, each by itself',
      scenario: (run) =>
        times(run, 60, async () => {
          for (const proxy of run.random.pick(run.actors).proxies) void proxy.swallowNext('toClient', undefined, true);
          await delay(run.random.between(20, 150));
        }),
    },
    {
      name: 'lost replies to enter, leave and renew',
      actors: 2,
      scenario: lostReplies,
    },
    wallClockOfClient,
    ...suspensionCells,
    unwatchedDeath(afterRestartMs[store] + ttlMs / 2),
    ...sharingCells,
    preferredCandidates,
    takingOver,
    scheduledTicks,
    dividedItems,
    churn(8, 25_000),
  ];
}

function onlyServer({ store }: Run): TestServer {
  const [server] = store.nodes;
  if (server === undefined) throw new Error(`the store ${store.name} has no server`);
  return server;
}

async function oneWay(run: Run, direction: 'toServer' | 'toClient'): Promise<void> {
  await times(run, 3, async () => {
    const { holder, untilNext } = await someHolder(run);
    await Promise.all([run.during(cut([holder], direction), overTtlMs), untilNext()]);
    await run.untilAllTakePart();
  });
}

/** Two more, who do nothing else, hand one lock to each other; of what each asks, one reply is lost. */
async function lostReplies(run: Run): Promise<void> {
  const habits = { lock: 'quiet', pauseMs: [0, 0], workEveryMs: 50 } as const;
  const contend = { habits: async (process: Actor['process']) => process.request('contend', habits) };
  await run.enlistAnother(contend);
  await run.untilHeld(quietLock);
  await run.enlistAnother(contend);
  const loseNext = ({ proxies }: Actor): void => {
    for (const proxy of proxies) void proxy.swallowNext('toClient', undefined, true);
  };
  await times(run, 8, async () => {
    const holder = await run.untilHeld(quietLock);
    const next = run.nextHolder(quietLock);
    // The reply to leave, and to the enter that comes after it at once.
    loseNext(holder);
    if (run.rounds % 2 === 0) loseNext(holder);
    await holder.process.request('release', quietLock);
    // Nothing else is asked now: the reply to a renewal.
    const renewing = await next;
    await delay(run.random.between(0, 300));
    loseNext(renewing);
    await delay(run.random.between(300, 800));
  });
}
