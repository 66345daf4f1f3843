import type { Mutant } from './mutant.js';
import { promiseMutants } from './promises.js';
import { sessionMutants } from './sessions.js';
import { standingMutants } from './standing.js';
import { writeMutants } from './writes.js';

/** One for each rule of the port, and for each thing that a store may promise. */
export const mutants: readonly Mutant[] = [...sessionMutants, ...standingMutants, ...writeMutants, ...promiseMutants];

/** What the comments of the port say without asking anything of an adapter, or more of it than the kernel can see. */
export const explanations: readonly string[] = [
  'What an adapter implements, and all of it',
  'The kernel makes a Backend of it',
  'What the kernel hands to an adapter',
  'One entry as its own adapter knows it',
  'Adapters extend it with what they need to find it again',
  'How the kernel asks an adapter to stand in line',
  'An open session.',
  'What a store can promise',
  'Each is shown by a test of the conformance suite',
  // Permissions.
  'Absent where that never is',
  'One that changed nothing may be tried anew',
  'A write that was sent once, and answered, need not be kept any longer',
  // What the kernel does.
  'The kernel repeats a write in its own session only',
  // Headings of what follows.
  'A write.',
  'Errors when the session cannot be opened:',
];

/**
 * What no case shows. The kernel subscribes to what it calls at once, takes one look and one answer, adopts one session
 * and follows a stream anew when the link is back, so that who breaks these rules does the same as who keeps them. How a
 * store refuses a login, or admits nobody since it may have lost what it acknowledged, is tried by tests of each store. What
 * a session proves by itself, in a thread, is tried with a blocked event loop (test/backends/thread) and in the kernel's tests.
 */
export const unguarded: readonly string[] = [
  'The store may have lost what it acknowledged, and admits nobody until all from before have given up',
  '`ahead` is `permits` as long as that lasts',
  '`true`: it is not others that keep it out',
  'For how many ms the store admits nobody yet, because it may have lost what it acknowledged:',
  'now, then each change',
  'Opens one session.',
  'Emits it once',
  'Every operation is cold; subscribing sends it',
  'error with `Unavailable` when the link breaks, and are subscribed to again when it is back',
  'without a goodbye',
  'Completes.',
  '`AuthenticationFailed` and other errors that cannot heal end the backend',
  'The backend is closed and opens no session any more: what has outlived its sessions ends',
  'Completes when it has',
  'What is proved of a session, by the clock of `provedMs`',
  'By how much wall time was ahead of that clock since then, at least: a machine that was suspended later shows by that',
  'Where a session renews itself while the event loop is blocked: what is proved by now, asked of nobody',
  '`undefined`: it was given up, and nothing may be relied on',
];
