// What is bundled for Node with the clients of all stores. Nobody listens at this port, as only the client itself can tell.
import assert from 'node:assert/strict';
import { connect } from 'conclave';
import { filter, firstValueFrom } from 'rxjs';

async function main() {
  for (const url of ['redis:?client=ioredis', 'redis:?client=node-redis', 'etcd:', 'zookeeper:']) {
    const backend = connect(url.replace(':', '://127.0.0.1:1'));
    const failed = backend.session$.pipe(filter(({ state, attempt }) => state === 'connecting' && attempt > 0));
    assert.match(String((await firstValueFrom(failed)).cause), /ECONNREFUSED|no answer/, url);
    await backend.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
