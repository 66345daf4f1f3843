import { setTimeout as delay } from 'node:timers/promises';
import { map, timer } from 'rxjs';
import { connect } from '../../src/connect.js';
import { closeOnSignals, type Grant, leadership, withLeadership, withLock } from '../../src/index.js';
import { answer, tell } from '../../src/testing/processes/client-side.js';

/** What a process is like that is told to end. */
export interface Deployed {
  readonly url: string;
  readonly namespace: string;
  readonly ttlMs: number;
  readonly drainMs?: number;
  /** How long each job takes. */
  readonly jobMs?: number;
  /** Who else listens for the signal. */
  readonly beside?: 'once' | 'thrice' | 'nest' | 'both' | 'exit';
}

/** What it tells: `at` is by the clock that all processes of a machine share. */
export type FromDeployed =
  | { readonly what: 'leading' | 'closed' | 'lost' }
  | { readonly what: 'begun' | 'aborted'; readonly job: string }
  | { readonly what: 'done'; readonly job: string; readonly isValid: boolean; readonly atNs: bigint };

const { url, namespace, ttlMs, drainMs, jobMs, beside }: Deployed = JSON.parse(process.argv[2] ?? '');
const say = (message: FromDeployed): void => tell(message);

/** As NestJS does after `enableShutdownHooks()`: listens until its hooks have run, then raises the signal again. */
function listenAsNest(): void {
  let isReceived = false;
  const cleanUp = async (signal: NodeJS.Signals): Promise<void> => {
    if (isReceived) return;
    isReceived = true;
    await null; // its hooks
    process.removeListener('SIGTERM', cleanUp);
    process.kill(process.pid, signal);
  };
  process.on('SIGTERM', cleanUp);
}

function listenOnce(): void {
  process.once('SIGTERM', async (signal) => {
    await null;
    process.kill(process.pid, signal);
  });
}

if (beside === 'exit') process.on('SIGTERM', () => process.exit(0));
if (beside === 'once' || beside === 'both') listenOnce();
if (beside === 'thrice') for (let others = 0; others < 3; others++) listenOnce();
if (beside === 'nest' || beside === 'both') listenAsNest();

const backend = connect(url, { namespace, ttlMs });
closeOnSignals(backend, { drainMs }).subscribe(() => say({ what: 'closed' }));

function watched(job: string, { signal }: Grant): void {
  say({ what: 'begun', job });
  signal.addEventListener('abort', () => say({ what: 'aborted', job }));
}
const doneOf = (job: string, { isValid }: Grant): FromDeployed => ({
  what: 'done',
  job,
  isValid: isValid(),
  atNs: process.hrtime.bigint(),
});

if (jobMs === undefined) {
  leadership(backend, 'chief').subscribe((leads) => leads && say({ what: 'leading' }));
} else {
  withLock(backend, 'promise', async (grant) => {
    watched('promise', grant);
    await delay(jobMs);
    say(doneOf('promise', grant));
    // Where it has not settled in time, the lock is lost.
  }).subscribe({ error: () => say({ what: 'lost' }) });
  withLock(backend, 'observable', (grant) => {
    watched('observable', grant);
    return timer(jobMs).pipe(map(() => say(doneOf('observable', grant))));
  }).subscribe();
  withLeadership(backend, 'leader', (grant) => {
    watched('leader', grant);
    return timer(jobMs).pipe(map(() => say(doneOf('leader', grant))));
  }).subscribe();
}
answer({});
