import { onDueCheck } from '../validity.js';

/** What the kernel takes from the process it runs in, besides time. A simulated process has one of its own. */
export interface Environment {
  /** 32 hexadecimal digits, unique. */
  newId(): string;
  /** Makes ids of that kind for the entries of one session, of which it may draw once what tells them from all others. */
  newIds(): () => string;
  /** Uniform in [0, 1). */
  random(): number;
  /** Registers a session's check of its deadline; the function returned takes it away again. */
  onDueCheck(check: () => void): () => void;
}

export const hostEnvironment: Environment = {
  // Not `randomUUID`: browsers have it in pages from a secure origin only.
  newId: () => hexadecimal(crypto.getRandomValues(new Uint8Array(16))),
  // To draw each anew takes longer than all else that an entry needs here. Not for longer than a session: a copy of this process,
  // in a machine that was cloned, gets another one.
  newIds: () => {
    const ofSession = hexadecimal(crypto.getRandomValues(new Uint8Array(10)));
    let count = 0;
    return () => ofSession + (++count).toString(16).padStart(12, '0');
  },
  random: () => Math.random(),
  onDueCheck,
};

function hexadecimal(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
