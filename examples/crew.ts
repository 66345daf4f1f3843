import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Backend, connect, deleteGroup, status } from 'conclave';
import { MemoryStore, memory } from 'conclave/memory';
import { filter, firstValueFrom, lastValueFrom, merge, Observable, Subject, take, timeout } from 'rxjs';
import { type Happening, happening } from './happening.js';
import { optionsFor } from './options.js';
import { work } from './worker.js';

/** Three workers, and the means to take one out. */
export interface Crew {
  readonly title: string;
  /** What happens to them while they work. Errors when one of them fails. */
  readonly happening$: Observable<Happening>;
  /** Takes a worker out without a goodbye. */
  takeOut(worker: string): void;
  /** Ends all work; resolves when nothing of it is left. */
  close(): Promise<void>;
}

/** What a worker in a process of its own reports. */
export type Report = { readonly happening: Happening } | { readonly failure: string };

export const workers = ['worker-1', 'worker-2', 'worker-3'];

/** Three backends on one store in this process. Taken out means: its session does not reach the store any more. */
export function crewInThisProcess(): Crew {
  const store = new MemoryStore();
  const crew = workers.map((worker) => ({ worker, backend: memory({ store, ttlMs: 1_500 }) }));
  const cutOff$ = new Subject<Happening>();
  return {
    title: 'Three workers in this process, on the embedded memory backend.',
    happening$: merge(cutOff$, ...crew.map(({ worker, backend }) => work(backend, worker))),
    takeOut(worker) {
      const session$ = crew.find((one) => one.worker === worker)?.backend.session$.pipe(take(1));
      session$?.subscribe((session) => {
        if (session.state !== 'live') return;
        cutOff$.next(happening(worker)('is cut off'));
        store.partition(session.id);
      });
    },
    close: async () => {
      await Promise.all(crew.map(({ backend }) => backend.close()));
    },
  };
}

/** Three processes on a real store. Taken out means: `kill -9`. */
export async function crewOfProcesses(url: string): Promise<Crew> {
  const backend = connect(url, optionsFor(url));
  await untilLive(backend);
  const crew = workers.map((worker) => ({ worker, process: workerProcess(url, worker) }));
  return {
    title: `Three processes on ${url.replace(/\/\/[^/@]*@/, '//')}.`,
    happening$: merge(...crew.map(({ worker, process }) => reportsOf(worker, process))),
    takeOut: (worker) => crew.find((one) => one.worker === worker)?.process.kill('SIGKILL'),
    close: async () => {
      await Promise.all(crew.map(({ process }) => leave(process)));
      // What was created stays until it is deleted; not so the members, leaders and holders.
      await lastValueFrom(deleteGroup(backend, 'workers').pipe(timeout(1_000))).catch(() => {});
      await backend.close();
    },
  };
}

/** Rejects, and says why, if the store's package is missing or the store does not answer. */
async function untilLive(backend: Backend): Promise<void> {
  try {
    const live$ = status(backend).pipe(filter((now) => now.state === 'live'));
    const { barredMs } = await firstValueFrom(live$);
    if (barredMs !== undefined)
      console.log(
        `The store was started just now, so it admits nobody for ${Math.ceil(barredMs / 100) / 10} s: it may have lost what somebody holds.\n`,
      );
  } catch (error) {
    await backend.close();
    throw error;
  }
}

function workerProcess(url: string, worker: string): ChildProcess {
  const script = fileURLToPath(new URL('worker-process.ts', import.meta.url));
  const child = fork(script, [url, worker], {
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  return child;
}

function reportsOf(worker: string, child: ChildProcess): Observable<Happening> {
  return new Observable((subscriber) => {
    child.on('message', (report: Report) => {
      if ('failure' in report) subscriber.error(new Error(`${worker} failed with ${report.failure}`));
      else subscriber.next(report.happening);
    });
    child.once('close', (code, signal) => {
      if (signal === 'SIGKILL') subscriber.next(happening(worker)('is killed'));
      else subscriber.error(new Error(`${worker} ended by itself (${signal ?? `exit code ${code}`})`));
    });
  });
}

/** A worker leaves when it is disconnected, and is killed if that takes too long. */
async function leave(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  const impatience = setTimeout(() => child.kill('SIGKILL'), 2_000);
  child.disconnect();
  await gone;
  clearTimeout(impatience);
}
