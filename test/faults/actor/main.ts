import { filter, firstValueFrom, Subscription } from 'rxjs';
import { type RedisOptions, redis } from '../../../src/backends/redis/index.js';
import { type Backend, type ConnectOptions, connect, join, members, status } from '../../../src/index.js';
import { answer, tell } from '../../../src/testing/processes/client-side.js';
import { clusterClient } from '../../support/redis-client/cluster-client.js';
import type { Roster } from '../history.js';
import { msToNs } from '../intervals.js';
import { randomOf } from '../random.js';
import { now, Recorder } from '../recorder.js';
import { Candidate, type CandidateHabit } from './candidate.js';
import { type DivideHabit, Divider } from './divider.js';
import { fail, failOnEscapes } from './fatal.js';
import { Locker, type LockHabit } from './locker.js';
import { Once } from './once.js';
import { RegisterClient } from './register-client.js';
import type { Setting, Taker } from './setting.js';
import { watchStalls } from './stall-watch.js';
import { Ticker, type TickHabit } from './ticker.js';

export interface Role {
  readonly process: string;
  readonly url: string;
  readonly options: ConnectOptions;
  /** Redis by way of these, in place of the URL. */
  readonly sentinels?: readonly { readonly host: string; readonly port: number }[];
  /** Redis Cluster by way of these, in place of the addresses that its nodes name. */
  readonly natMap?: Readonly<Record<string, { readonly host: string; readonly port: number }>>;
  readonly log: string;
  readonly run: string;
  readonly resourcePort: number;
  readonly seed: string;
  /** The laboratory is told of each acquisition of these. */
  readonly told: readonly Roster[];
}

/** Told to the laboratory at once; all else is in the log. */
export interface ActorMessage {
  readonly run: string;
  readonly roster: Roster;
}

export type ActorCalls = typeof calls;

interface Play {
  readonly process: string;
  readonly backend: Backend;
  readonly setting: Setting;
  readonly takers: Taker[];
  readonly stays: Subscription;
  readonly leaving: (() => void)[];
  divider?: Divider;
  acquisitions: number;
}

let play: Play | undefined;
/** Outlives its run for a while: writes of past holders may be late. */
let register: RegisterClient | undefined;
const waiters = new Set<() => void>();

const calls = {
  begin: (role: Role): void => {
    const { process: name, log, run, resourcePort, seed, told } = role;
    const recorder = new Recorder(log, name);
    register?.[Symbol.dispose]();
    register = new RegisterClient(resourcePort, run);
    const backend = backendOf(role);
    let stays = 0;
    const mine: Play = {
      process: name,
      backend,
      setting: {
        recorder,
        register,
        random: randomOf(`${seed}/${name}`),
        newHolding: (roster) => {
          stays += 1;
          return `${name} ${roster} ${stays}`;
        },
        acquired: (roster) => {
          mine.acquisitions += 1;
          for (const waiter of [...waiters]) waiter();
          if (told.includes(roster)) tell({ run, roster } satisfies ActorMessage);
        },
      },
      takers: [],
      stays: new Subscription(),
      leaving: [],
      acquisitions: 0,
    };
    play = mine;
    recorder.tell({ kind: 'started' });
    backend.faults$.subscribe((fault) => recorder.tell({ kind: 'note', text: `fault: ${fault.message}` }));
    mine.stays.add(
      status(backend).subscribe({
        next: (session) => {
          const cause = 'cause' in session && session.cause !== undefined ? ` (${session.cause.message})` : '';
          recorder.tell({ kind: 'note', text: `session ${session.state}${cause}` });
        },
        error: (error) => fail('status', error),
      }),
    );
  },
  /** Resolves when its session is open. */
  untilLive: async (): Promise<void> => {
    await firstValueFrom(status(playing().backend).pipe(filter(({ state }) => state === 'live')));
  },
  contend: (habit: LockHabit): void => take(new Locker(playing().backend, habit, playing().setting)),
  /** Asks once; resolves with whether it holds the lock now. */
  tryOnce: (lock: string): Promise<boolean> =>
    new Promise((resolve) => take(new Once(playing().backend, lock, playing().setting, resolve))),
  /** Stands in that line no more. */
  abandon: (roster: Roster): void => {
    for (const taker of playing().takers) if (taker.roster === roster) taker.stop();
  },
  /** Those that are seen at the first look. */
  membersOf: async (group: string): Promise<readonly string[]> => {
    const { backend, setting } = playing();
    const ids = [...(await firstValueFrom(members(backend, group)))].sort();
    setting.recorder.tell({ kind: 'saw', group, members: ids });
    setting.recorder.tell({ kind: 'unwatched', group });
    return ids;
  },
  stand: (habit: CandidateHabit): void => take(new Candidate(playing().backend, habit, playing().setting)),
  tick: (habit: TickHabit): void => {
    const { backend, setting, leaving } = playing();
    const ticker = new Ticker(backend, habit, setting);
    leaving.push(() => ticker.stop());
    ticker.start();
  },
  divide: (habit: DivideHabit): void => {
    const { backend, setting, process: member, leaving } = playing();
    const divider = new Divider(backend, member, habit, setting);
    playing().divider = divider;
    leaving.push(() => divider.stop());
    divider.start();
  },
  /** Resolves when it owns so many of the items that are divided. */
  untilOwns: (count: number): Promise<void> => {
    const { divider } = playing();
    if (divider === undefined) throw new Error('call divide() first');
    return divider.untilOwns(count);
  },
  join: (group: string): void => {
    const { backend, setting, process: member, stays, leaving } = playing();
    const { recorder } = setting;
    let isLeaving = false;
    recorder.tell({ kind: 'joining', group, member });
    leaving.push(() => {
      isLeaving = true;
      recorder.tell({ kind: 'left', group, member });
    });
    stays.add(
      join(backend, group, { id: member, create: true }).subscribe({
        next: ({ token, signal }) => {
          recorder.tell({ kind: 'joined', group, member, token });
          signal.addEventListener('abort', () => {
            if (!isLeaving) recorder.tell({ kind: 'dropped', group, member });
          });
        },
        error: (error) => fail(`group ${group}`, error),
      }),
    );
  },
  watch: (group: string): void => {
    const { backend, setting, stays, leaving } = playing();
    leaving.push(() => setting.recorder.tell({ kind: 'unwatched', group }));
    stays.add(
      members(backend, group).subscribe({
        next: (ids) => setting.recorder.tell({ kind: 'saw', group, members: [...ids].sort() }),
        error: (error) => fail(`members of ${group}`, error),
      }),
    );
  },
  release: (roster: Roster): void => {
    for (const taker of playing().takers) if (taker.roster === roster) taker.release();
  },
  /** Blocks the event loop, within guarded work that asks whether it may go on, or does not. */
  block: (ms: number, asks: boolean): void => {
    const { setting, takers, divider } = playing();
    // After the reply to this call.
    setImmediate(() => {
      const since = now();
      const until = since + msToNs(ms);
      let nextWork = since;
      while (now() < until) {
        if (!asks || now() < nextWork) continue;
        nextWork = now() + msToNs(2);
        for (const taker of takers) taker.work();
        divider?.work();
      }
      setImmediate(() => setting.recorder.tell({ kind: 'stalled', since }));
    });
  },
  /** Resolves when so many more acquisitions were made here. */
  untilAcquired: (more: number): Promise<void> => {
    const mine = playing();
    const target = mine.acquisitions + more;
    return new Promise((resolve) => {
      const look = (): void => {
        if (mine.acquisitions < target && play === mine) return;
        waiters.delete(look);
        resolve();
      };
      waiters.add(look);
    });
  },
  /** Leaves everything. */
  stop: (): void => {
    const { takers, stays, leaving } = playing();
    for (const taker of takers) taker.stop();
    for (const leave of leaving) leave();
    stays.unsubscribe();
  },
  /** Closes the backend; returns how long that took. */
  close: async (): Promise<number> => {
    const { backend, setting } = playing();
    const from = performance.now();
    await backend.close();
    setting.recorder.tell({ kind: 'note', text: 'closed' });
    play = undefined;
    setting.recorder[Symbol.dispose]();
    for (const waiter of [...waiters]) waiter();
    return performance.now() - from;
  },
};

function backendOf({ url, options, sentinels, natMap }: Role): Backend {
  if (natMap !== undefined)
    return redis({ ...(options as RedisOptions), client: clusterClient(Object.values(natMap), { natMap }) });
  if (sentinels === undefined) return connect(url, options);
  return redis({ ...(options as RedisOptions), sentinels: { name: 'master', nodes: sentinels } });
}

function playing(): Play {
  if (play === undefined) throw new Error('call begin() first');
  return play;
}

function take(taker: Taker): void {
  playing().takers.push(taker);
  taker.start();
}

failOnEscapes();
watchStalls(() => play?.setting.recorder);
answer(calls);
