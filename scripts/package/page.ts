// A page: leadership over memory that is handed over, and a simulation. Tells the server of the page what came of it.
import { closeOnSignals, connect, leadership, lock, NotSupported } from 'conclave';
import { etcd } from 'conclave/etcd';
import { memory } from 'conclave/memory';
import { redis } from 'conclave/redis';
import { marbles, partition, simulate } from 'conclave/testing';
import { zookeeper } from 'conclave/zookeeper';
import { filter, firstValueFrom, interval, lastValueFrom, Observable } from 'rxjs';

const check = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(what);
};

async function handsOver(): Promise<void> {
  const [a, b] = [connect('memory:page'), memory({ store: 'page' })];
  check(a.session$ instanceof Observable, 'two copies of rxjs');
  const led: string[] = [];
  const first = leadership(a, 'e').subscribe((leads) => leads && led.push('a'));
  await firstValueFrom(a.session$.pipe(filter(({ state }) => state === 'live')));
  const second = leadership(b, 'e').pipe(filter((leads) => leads));
  const taken = firstValueFrom(second).then(() => led.push('b'));
  check(led.join() === 'a', `led by ${led}`);
  first.unsubscribe();
  await taken;
  check(led.join() === 'a,b', `led by ${led}`);
  check(typeof (await firstValueFrom(lock(a, 'l'))).token === 'bigint', 'no token');
  await Promise.all([a.close(), b.close()]);
}

function simulates(): void {
  marbles(({ cluster, expectObservable }) => {
    cluster.faults('3s p', { p: partition('a', 20_000) });
    const values = { f: false, t: true };
    expectObservable(leadership(cluster.backend('a'), 'e'), '^ 15s !').toBe('(ft) 11396ms f', values);
    expectObservable(leadership(cluster.backend('b'), 'e'), '^ 15s !').toBe('f 11999ms t', values);
  });
  let told = '';
  try {
    marbles(({ cluster, expectObservable }) => {
      expectObservable(leadership(cluster.backend('a'), 'e'), '^ 1s !').toBe('(tf)', { f: false, t: true });
    });
  } catch (error) {
    told = String(error);
  }
  check(told.includes('expected') && told.includes('actual'), `no diagram: ${told}`);
}

async function passesTime(): Promise<void> {
  const cluster = simulate();
  let ticks = 0;
  cluster.backend('a');
  cluster.run('a', () => interval(1_000).subscribe(() => (ticks += 1)));
  await cluster.passWithPromises(10_000);
  check(ticks === 10, `${ticks} ticks`);
}

async function hasNoSignals(): Promise<void> {
  const backend = connect('memory:');
  const error = await lastValueFrom(closeOnSignals(backend)).catch((cause: unknown) => cause);
  check(error instanceof NotSupported, `closeOnSignals: ${error}`);
  await backend.close();
}

async function refusesStores(): Promise<void> {
  for (const host of ['127.0.0.1', 'user:pass@127.0.0.1'])
    for (const scheme of ['redis', 'rediss', 'redis-cluster', 'etcd', 'etcds', 'zookeeper']) {
      const backend = connect(`${scheme}://${host}`);
      const error = await lastValueFrom(backend.session$).catch((cause: unknown) => cause);
      check(error instanceof NotSupported, `${scheme}://${host}: ${error}`);
      await backend.close();
    }
  const auth = { scheme: 'digest', auth: 'user:pass' };
  for (const make of [redis, etcd, () => zookeeper({ auth })]) {
    let thrown: unknown;
    try {
      make();
    } catch (error) {
      thrown = error;
    }
    check(thrown instanceof NotSupported, `${make}: ${thrown}`);
  }
}

const tell = (outcome: string): Promise<unknown> => fetch('/outcome', { method: 'POST', body: outcome });

(async () => {
  await handsOver();
  simulates();
  await passesTime();
  await refusesStores();
  await hasNoSignals();
})().then(
  () => tell(`ok${globalThis.isSecureContext ? '' : ', from an insecure origin'}`),
  (error: unknown) => tell(error instanceof Error ? `${error.stack}` : String(error)),
);
