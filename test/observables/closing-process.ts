import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { lock } from '../../src/observables/locks/lock.js';
import { closeOnSignals } from '../../src/observables/session/close-on-signals.js';
import { answer, tell } from '../../src/testing/processes/client-side.js';

/** Holds a lock until it is told to end, and says when the next one has it. */
const store = new MemoryStore();
const backend = memory({ store });
closeOnSignals(backend).subscribe();
lock(backend, 'ledger').subscribe(() => {
  lock(memory({ store }), 'ledger').subscribe(() => tell('released'));
  tell('held');
});
answer({});
