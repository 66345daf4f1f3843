import type { Roster } from '../history.js';
import type { Random } from '../random.js';
import type { Recorder } from '../recorder.js';
import type { RegisterClient } from './register-client.js';

/** What takers share. */
export interface Setting {
  readonly recorder: Recorder;
  readonly register: RegisterClient;
  readonly random: Random;
  newHolding(roster: Roster): string;
  /** To be called at each acquisition. */
  acquired(roster: Roster): void;
}

/** Somebody who takes what only one can have, again and again. */
export interface Taker {
  readonly roster: Roster;
  start(): void;
  /** One guarded item of work, if it may be done. */
  work(): boolean;
  release(): void;
  stop(): void;
}
