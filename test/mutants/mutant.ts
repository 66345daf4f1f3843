import type { Characteristics } from '../../src/backends/backend.js';
import type { LocalReplicatedStore, LocalStore } from '../../src/testing/conformance/within-process.js';
import type { Alter } from './altered.js';

/** In what a mutant differs from the map backend. */
export interface Alteration {
  /** On the client's side of the wire. */
  readonly above?: Alter;
  /** On the store's side of the wire. */
  readonly below?: Alter;
  /** The server around the store. */
  readonly server?: (store: LocalStore) => LocalStore;
  readonly replicated?: (store: LocalStore) => LocalReplicatedStore;
  readonly declares?: Partial<Omit<Characteristics, 'caveats'>>;
}

/** A backend that breaks one rule of the port, and nothing else. */
export interface Mutant {
  /** What it breaks: words of a comment of the port, or the name of a field that has none. */
  readonly rule: string;
  /** How it breaks it. */
  readonly how: string;
  /** Made anew for each case. */
  readonly alter: () => Alteration;
  /** The cases of the conformance suite that must fail, each of them. */
  readonly caughtBy: readonly [string, ...string[]];
}

export const above = (alter: Alter) => (): Alteration => ({ above: alter });
export const below = (alter: Alter) => (): Alteration => ({ below: alter });
