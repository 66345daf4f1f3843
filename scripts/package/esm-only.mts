// What needs vitest is there for `import` only.
import { connect } from 'conclave';
import { backendConformance, type Quirks, remote, withinProcess } from 'conclave/testing/conformance';
import { startRedis } from 'conclave/testing/servers';

export const quirks: Quirks = remote({
  name: 'redis',
  url: 'redis://127.0.0.1:6379',
  ttlMs: 2_000,
  declares: connect('memory:').characteristics,
  connect,
  start: () => startRedis(),
});
export const tried = (): void => backendConformance((options) => connect('memory:tried', options), quirks);
export { withinProcess };
