import { setTimeout as delay } from 'node:timers/promises';
import type { Cell } from './cell.js';
import { cut, delayed, type Fault, refused, serverDown, serverStopped } from './faults.js';
import type { Actor, Run } from './laboratory.js';
import type { Random } from './random.js';
import { ttlMs } from './stores.js';

const mildFaults = ['pause', 'block', 'cut', 'one way', 'refuse', 'delay', 'lose a reply'] as const;
/** A crash is rarer: the process that comes after it takes more processor time to start than all the rest. */
const clientFaults = ['crash', ...mildFaults, ...mildFaults] as const;
const serverFaults = ['stop the server', 'restart the server'] as const;

/** What breaks next, and when. */
interface Step {
  readonly afterMs: number;
  readonly what: (typeof clientFaults)[number] | (typeof serverFaults)[number];
  readonly lastsMs: number;
  /** Chooses among those that can be chosen then. */
  readonly pick: number;
}

/** The same steps for the same seed, whatever comes of them. */
function scheduleOf(random: Random, forMs: number, everyMs: readonly [number, number]): Step[] {
  const steps: Step[] = [];
  let sumMs = 0;
  while (sumMs < forMs) {
    const afterMs = random.between(...everyMs);
    sumMs += afterMs;
    const what = random.next() < 0.05 ? random.pick(serverFaults) : random.pick(clientFaults);
    steps.push({ afterMs, what, lastsMs: Math.round(ttlMs * (0.1 + 1.5 * random.next() ** 2)), pick: random.next() });
  }
  return steps;
}

/** Breaks one thing after the other, several at a time, and never two of one actor. */
async function carryOut(run: Run, steps: readonly Step[]): Promise<void> {
  const busy = new Set<Actor>();
  let isServerBusy = false;
  const underWay: Promise<unknown>[] = [];
  const go = (breaking: Promise<void>, then: () => void): void => {
    const failed = (error: unknown): void => {
      run.escapes.push(`a fault could not be carried out: ${error}`);
    };
    underWay.push(breaking.catch(failed).finally(then));
  };
  for (const step of steps) {
    await delay(step.afterMs);
    run.round();
    if (step.what === 'stop the server' || step.what === 'restart the server') {
      if (isServerBusy) continue;
      isServerBusy = true;
      go(breakServer(run, step), () => {
        isServerBusy = false;
      });
      continue;
    }
    const idle = run.actors.filter((actor) => !busy.has(actor));
    const victim = idle[Math.floor(step.pick * idle.length)];
    if (victim === undefined) continue;
    busy.add(victim);
    go(breakClient(run, victim, step), () => busy.delete(victim));
  }
  await Promise.all(underWay);
}

async function breakServer(run: Run, { what, lastsMs, pick }: Step): Promise<void> {
  const { nodes } = run.store;
  const server = nodes[Math.floor(pick * nodes.length)];
  if (server === undefined) return;
  const whole = what === 'stop the server' ? serverStopped(server) : serverDown(server, { keepData: true });
  // One of several is not all of the store, but may be what some are connected to, or what leads.
  await run.during(whole, lastsMs);
}

async function breakClient(run: Run, victim: Actor, { what, lastsMs, pick }: Step): Promise<void> {
  const during = (fault: Fault): Promise<void> => run.during(fault, lastsMs);
  switch (what) {
    case 'crash':
      await Promise.all([run.kill(victim), run.enlistAnother()]);
      return;
    case 'pause':
      return run.pause(victim, lastsMs);
    case 'block':
      await victim.process.request('block', lastsMs, pick < 0.5);
      await delay(lastsMs);
      return;
    case 'cut':
      return during(cut([victim]));
    case 'one way':
      return during(cut([victim], pick < 0.5 ? 'toServer' : 'toClient'));
    case 'refuse':
      return during(refused([victim]));
    case 'delay':
      return during(delayed([victim], { toServerMs: lastsMs * pick, toClientMs: lastsMs * (1 - pick) }));
    case 'lose a reply':
      for (const proxy of victim.proxies) void proxy.swallowNext('toClient', undefined, true);
      return;
  }
}

/** Many processes, and everything at random. */
export function churn(actors: number, forMs: number): Cell {
  return {
    name: `churn of ${actors} processes`,
    actors,
    nextHolderMs: 3 * ttlMs + 3_000,
    membershipMs: 2 * ttlMs + 2_000,
    // The more there are, the longer each waits in any case.
    habits: { shortPauseMs: [5, 10 * actors] },
    scenario: async (run) => {
      const everyMs = Math.max(150, Math.round(6_000 / actors));
      await carryOut(run, scheduleOf(run.random.fork('churn'), forMs, [everyMs, 2 * everyMs]));
      await run.untilAllTakePart();
    },
  };
}
