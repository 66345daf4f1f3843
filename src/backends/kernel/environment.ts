import { onDueCheck } from '../validity.js';

/** What the kernel takes from the process it runs in, besides time. A simulated process has one of its own. */
export interface Environment {
  /** 32 hexadecimal digits, unique. */
  newId(): string;
  /** Uniform in [0, 1). */
  random(): number;
  /** Registers a session's check of its deadline; the function returned takes it away again. */
  onDueCheck(check: () => void): () => void;
}

export const hostEnvironment: Environment = {
  // Not `randomUUID`: browsers have it in pages from a secure origin only.
  newId: () => hexadecimal(crypto.getRandomValues(new Uint8Array(16))),
  random: () => Math.random(),
  onDueCheck,
};

function hexadecimal(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
