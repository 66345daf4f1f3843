import { InvalidOptions } from '../backends/errors.js';
import { ANYTHING, check, checkAll, FUNCTION, integer, listOf, number } from '../backends/shared/expectations.js';
import {
  callOf,
  crash,
  delay,
  deploy,
  expireSession,
  type Fault,
  type FaultKind,
  heal,
  jumpClock,
  KINDS,
  LOSABLE,
  loseReply,
  partition,
  pause,
  restartStore,
  suspend,
} from './faults.js';
import { macrotask } from './macrotask.js';
import { drawMarbles, type Marble } from './marble-text.js';
import { scrambled } from './random.js';
import { type Cluster, Simulation, simulate } from './simulate.js';

/** Options of `explore`. */
export interface ExploreOptions {
  /** How many runs, each with the next seed. */
  readonly seeds: number;
  /** How long each run is: steps of `stepMs`. */
  readonly steps: number;
  /** The first seed. Default 1. */
  readonly seed?: number;
  /** Default: a tenth of `ttlMs`. */
  readonly stepMs?: number;
  /** Lifetime of the simulated sessions. Default 1,000. */
  readonly ttlMs?: number;
  /** As of `simulate`. Default: from 1 to 5. */
  readonly latencyMs?: number | readonly [least: number, most: number];
  /**
   * What may go wrong. Default: everything but `expireSession`, after which two may hold the same until the one is
   * told, and `heal`, since partitions and delays end by themselves.
   */
  readonly faults?: readonly FaultKind[];
  /** Most faults in one run. Default: one for ten steps. */
  readonly maxFaults?: number;
  /** How long a run goes on after every fault has ended, before the last look. Default: three times `ttlMs`. */
  readonly calmMs?: number;
}

/** The moment at which an invariant is asked. */
export interface Moment {
  readonly cluster: Cluster;
  /** Every fault has ended, and `calmMs` have gone by: what must become true in the end must be true now. */
  readonly isCalm: boolean;
}

/** What `explore` has tried. */
export interface Exploration {
  readonly seeds: number;
  readonly faults: number;
  readonly simulatedMs: number;
}

/** A fault and when it happens. */
export interface TimedFault {
  readonly atMs: number;
  readonly fault: Fault;
}

/** An invariant does not hold under these faults. */
export class InvariantBroken extends Error {
  override readonly name = 'InvariantBroken';
  constructor(
    /** Plays it again. */
    readonly seed: number,
    /** What was broken, in the invariant's words. */
    readonly reason: string,
    readonly atMs: number,
    /** The fewest faults found under which it breaks. */
    readonly faults: readonly TimedFault[],
    /** What happened, line by line. */
    readonly history: readonly string[],
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

/** A fault before it is known which processes there are. */
interface Draft {
  readonly atMs: number;
  readonly kind: FaultKind;
  readonly process: number;
  /** How much of it, in thousandths. */
  readonly size: number;
  /** How long, or which kind of it, in thousandths. */
  readonly variant: number;
}

interface Setting extends Required<Omit<ExploreOptions, 'seeds' | 'seed'>> {}

interface Ending {
  readonly reason: string | undefined;
  readonly atMs: number;
  readonly faults: readonly TimedFault[];
  readonly history: readonly string[];
  readonly cause?: unknown;
}

const DEFAULT_FAULTS: readonly FaultKind[] = [
  'partition',
  'pause',
  'suspend',
  'crash',
  'deploy',
  'restartStore',
  'loseReply',
  'delay',
  'jumpClock',
];

/**
 * Plays a scenario under random faults in virtual time, one seed after the other, and looks for one that breaks an
 * invariant.
 *
 *     seed 1   --p-----d-----c--   holds
 *     seed 2   -----d--p-r-------  broken
 *     shrunk   -----d--p#          printed, with the seed that plays it again
 *
 * `scenario` sets up processes on a cluster and returns what the invariant looks at. `invariant` is asked after each
 * moment at which something happened, and once more when all is calm; it says what is broken, or returns `false`, or
 * throws. The last process is never crashed, nor deployed.
 *
 * **Errors** `InvariantBroken`, with the faults shrunk by fast-check, drawn as marbles; `InvalidOptions`; `Error` where
 * fast-check is not installed.
 * **Completes** after `seeds` runs.
 * **Guarantee** not: that what was not found is not there. But: the same seed plays the same run.
 * **Source** fast-check (shrinking), Jepsen (the idea of a nemesis), FoundationDB.
 *
 * @example
 * await explore(
 *   { seeds: 1_000, steps: 200 },
 *   (cluster) => {
 *     const leading = new Set<string>();
 *     for (const name of ['a', 'b', 'c'])
 *       leadership(cluster.backend(name), 'scheduler').subscribe((leads) => {
 *         if (leads) leading.add(name);
 *         else leading.delete(name);
 *       });
 *     return leading;
 *   },
 *   (leading, { cluster }) => [...leading].filter((name) => cluster.isRunning(name)).length <= 1,
 * );
 */
export async function explore<S>(
  options: ExploreOptions,
  scenario: (cluster: Cluster) => S,
  invariant: (state: S, moment: Moment) => string | boolean | undefined,
): Promise<Exploration> {
  const { seeds, seed: firstSeed, ...setting } = checked(options);
  check({ scenario, invariant }, { scenario: FUNCTION, invariant: FUNCTION }, ['scenario', 'invariant']);
  const fc = await fastCheck();
  const draft = fc.record({
    atMs: fc.nat(Math.floor(setting.steps * setting.stepMs) - 1),
    kind: fc.constantFrom(...(setting.maxFaults === 0 ? KINDS : setting.faults)),
    process: fc.nat(99),
    size: fc.nat(999),
    variant: fc.nat(999),
  });
  const drafts = fc.array(draft, { maxLength: setting.maxFaults, size: 'max' });
  let faults = 0;
  let simulatedMs = 0;
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    let first: Ending | undefined;
    const holds = (script: readonly Draft[]): boolean => {
      const ending = play(seed, script, setting, scenario, invariant);
      first ??= ending;
      return ending.reason === undefined;
    };
    const outcome = fc.check(fc.property(drafts, holds), { seed: scrambled(seed), numRuns: 1, unbiased: true });
    if (outcome.failed) {
      const ending = play(seed, outcome.counterexample?.[0] ?? [], setting, scenario, invariant, true);
      throw broken(seed, ending, first?.faults.length ?? 0);
    }
    faults += first?.faults.length ?? 0;
    simulatedMs += first?.atMs ?? 0;
    // Whoever watches over this process is to see that it lives.
    if (seed % 32 === 0) await macrotask();
  }
  return { seeds, faults, simulatedMs };
}

function play<S>(
  seed: number,
  script: readonly Draft[],
  { steps, stepMs, ttlMs, latencyMs, calmMs }: Setting,
  scenario: (cluster: Cluster) => S,
  invariant: (state: S, moment: Moment) => string | boolean | undefined,
  wantsTraces = false,
): Ending {
  const cluster = new Simulation({ seed, ttlMs, latencyMs });
  const { stackTraceLimit } = Error;
  // Most errors of a run are those of broken connections, and nobody looks where they were made.
  if (!wantsTraces) Error.stackTraceLimit = 0;
  const faults: TimedFault[] = [];
  const end = (reason: string | undefined, cause?: unknown): Ending => ({
    reason,
    atMs: cluster.now(),
    faults,
    history: cluster.history,
    cause,
  });
  try {
    const state = cluster.play(() => scenario(cluster));
    refusePromise(state, 'The scenario');
    for (const drafted of script)
      cluster.at(drafted.atMs, () => {
        const fault = faultOf(drafted, cluster, ttlMs, faults);
        if (fault === undefined) return;
        faults.push({ atMs: cluster.now(), fault });
        cluster.apply(fault);
      });
    const look = (isCalm: boolean): void => {
      const said: unknown = invariant(state, { cluster, isCalm });
      refusePromise(said, 'The invariant');
      if (said === false) throw new Broken('the invariant does not hold');
      if (typeof said === 'string') throw new Broken(said);
    };
    cluster.passWith(steps * stepMs, () => look(false));
    cluster.play(() => cluster.healAll());
    cluster.passWith(calmMs, () => look(false));
    look(true);
    return end(undefined);
  } catch (error) {
    return error instanceof Broken ? end(error.message) : end(String(error), error);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** What a promise says later nobody would hear. */
function refusePromise(returned: unknown, by: string): void {
  if (!(returned instanceof Promise)) return;
  returned.catch(() => undefined);
  throw new TypeError(`${by} must not be async: nothing settles while virtual time goes by.`);
}

/** An invariant has spoken. */
class Broken extends Error {}

/**
 * A wall clock that is set back hides a suspension of its machine, which nothing else shows: no process can know. So the two
 * never meet within one ttl; whoever wants that says so by faults of his own.
 */
function hidesSuspension(name: string, ttlMs: number, { fault, atMs }: TimedFault, nowMs: number): boolean {
  if (!('process' in fault) || fault.process !== name) return false;
  if (fault.kind === 'suspend') return nowMs <= atMs + fault.forMs + ttlMs;
  return fault.kind === 'jumpClock' && fault.byMs < 0 && nowMs <= atMs + ttlMs;
}

function faultOf(
  { kind, process, size, variant }: Draft,
  cluster: Simulation,
  ttlMs: number,
  earlier: readonly TimedFault[],
): Fault | undefined {
  const alive = cluster.processes.filter((name) => !cluster.isLeaving(name));
  const name = alive[process % alive.length];
  if (name === undefined) return undefined;
  const upTo = (ms: number, thousandths = size): number => 1 + Math.floor((ms * thousandths) / 1_000);
  const followsA = (kind: FaultKind): boolean =>
    earlier.some((one) => one.fault.kind === kind && hidesSuspension(name, ttlMs, one, cluster.now()));
  switch (kind) {
    case 'partition':
      return partition(name, upTo(3 * ttlMs));
    case 'heal':
      return heal(name);
    case 'pause':
      return pause(name, upTo(2 * ttlMs));
    case 'suspend':
      if (followsA('jumpClock')) return pause(name, upTo(2 * ttlMs));
      // Many short ones are forgotten more easily than a long one is overlooked.
      return suspend(name, variant % 2 === 0 ? upTo(ttlMs / 25) : upTo(2 * ttlMs));
    case 'expireSession':
      return expireSession(name);
    case 'crash':
      return alive.length > 1 ? crash(name) : undefined;
    case 'deploy':
      // Half of them cut short what is under way.
      return alive.length > 1 ? deploy(name, variant % 2 === 0 ? 0 : upTo(2 * ttlMs)) : undefined;
    case 'restartStore':
      return restartStore({ keepData: variant % 2 === 0, forMs: upTo(2 * ttlMs) });
    case 'loseReply':
      return loseReply(name, LOSABLE[variant % LOSABLE.length] ?? 'enter');
    case 'delay':
      // Up to where requests begin to go unanswered, and somewhat beyond.
      return delay(name, upTo(ttlMs / 6), upTo(3 * ttlMs, variant));
    case 'jumpClock':
      return jumpClock(name, (variant % 2 === 0 || followsA('suspend') ? 1 : -1) * upTo(2 * ttlMs));
  }
}

function broken(seed: number, { reason = '', atMs, faults, history, cause }: Ending, before: number) {
  const symbols = symbolsOf(faults);
  const marbles = faults.map(({ atMs, fault }): Marble => ({ atMs, symbol: symbols.get(callOf(fault)) ?? '?' }));
  const [script = '-', broken = ''] = drawMarbles([marbles, [{ atMs, symbol: '#' }]]);
  const lines = [
    `faults  ${script}`,
    `broken  ${broken}`,
    ...[...symbols].map(([call, symbol]) => `${symbol} = ${call}`),
  ];
  const message =
    `Seed ${seed} breaks it after ${atMs} ms, ${howMany(faults.length)} (${before} before shrinking): ${reason}\n\n` +
    `${lines.map((line) => `  ${line}`).join('\n')}\n\n` +
    `Again, with the same options otherwise: explore({ …, seeds: 1, seed: ${seed} }, …)\n`;
  return new InvariantBroken(seed, reason, atMs, faults, history, message, cause);
}

function howMany(faults: number): string {
  if (faults === 0) return 'without any fault';
  return faults === 1 ? 'with 1 fault' : `with ${faults} faults`;
}

/** One symbol for each different fault: the first letter of its name, or another one that is free. */
function symbolsOf(faults: readonly TimedFault[]): ReadonlyMap<string, string> {
  const symbols = new Map<string, string>();
  const taken = new Set<string>();
  for (const { fault } of faults) {
    const call = callOf(fault);
    if (symbols.has(call)) continue;
    const wanted = fault.kind.charAt(0);
    const symbol = [...`${wanted}${wanted.toUpperCase()}abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ`].find(
      (one) => !taken.has(one),
    );
    taken.add(symbol ?? '?');
    symbols.set(call, symbol ?? '?');
  }
  return symbols;
}

const COUNT = integer(1, 2 ** 31 - 1);
const MS = number(1, 2 ** 31 - 1);

function checked(options: ExploreOptions): Setting & { readonly seeds: number; readonly seed: number } {
  checkAll(
    options,
    {
      seeds: COUNT,
      steps: COUNT,
      seed: integer(0, 2 ** 31 - 1),
      stepMs: MS,
      ttlMs: MS,
      // What it may be, the simulation says.
      latencyMs: ANYTHING,
      faults: listOf([KINDS.join(', '), (kind) => KINDS.some((known) => known === kind)]),
      maxFaults: integer(0, 10_000),
      calmMs: number(0, 2 ** 31 - 1),
    },
    ['seeds', 'steps'],
  );
  const { seeds, steps, seed = 1, ttlMs = 1_000, latencyMs = [1, 5], faults = DEFAULT_FAULTS } = options;
  const { stepMs = ttlMs / 10, maxFaults = Math.ceil(steps / 10), calmMs = 3 * ttlMs } = options;
  // What the simulation does not take is no finding of it.
  simulate({ seed, ttlMs, latencyMs }).backend('a');
  if (faults.length === 0 && maxFaults > 0)
    throw new InvalidOptions(['faults must not be empty, unless maxFaults is 0']);
  return { seeds, steps, seed, stepMs, ttlMs, latencyMs, faults, maxFaults, calmMs };
}

async function fastCheck(): Promise<typeof import('fast-check')> {
  try {
    return await import(/* webpackIgnore: true */ 'fast-check');
  } catch (cause) {
    throw new Error('explore needs the package "fast-check": npm install --save-dev fast-check', { cause });
  }
}
