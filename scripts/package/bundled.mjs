// What is bundled for Node: memory, and Redis, whose client is installed; the others' clients are not.
import assert from 'node:assert/strict';
import { connect, lock, MissingPackage } from 'conclave';
import { redis } from 'conclave/redis';
import { simulate } from 'conclave/testing';
import { firstValueFrom, interval, lastValueFrom, Observable } from 'rxjs';

async function main() {
  const { hostname, port } = new URL(process.env.REDIS_URL);
  const backends = [
    connect('memory:'),
    connect(process.env.REDIS_URL, { ttlMs: 1_000 }),
    redis({ host: hostname, port: Number(port), ttlMs: 1_000 }),
  ];
  for (const backend of backends) {
    assert.ok(backend.session$ instanceof Observable, 'two copies of rxjs');
    assert.equal(typeof (await firstValueFrom(lock(backend, 'invoice-42'))).token, 'bigint');
    await backend.close();
  }

  for (const url of ['etcd://127.0.0.1:1', 'zookeeper://127.0.0.1:1']) {
    const backend = connect(url);
    await assert.rejects(lastValueFrom(backend.session$), (error) => error instanceof MissingPackage);
    await backend.close();
  }

  // The simulation stands behind the timers of the application's own rxjs.
  const cluster = simulate();
  let ticks = 0;
  cluster.backend('a');
  cluster.run('a', () => interval(1_000).subscribe(() => (ticks += 1)));
  cluster.pass(10_000);
  assert.equal(ticks, 10);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
