import { onDueCheck } from './validity.js';

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
  newId: () => crypto.randomUUID().replaceAll('-', ''),
  random: () => Math.random(),
  onDueCheck,
};
