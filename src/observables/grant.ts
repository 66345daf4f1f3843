import type { Place } from '../backends/backend.js';

/** What one holds: a lock, a leadership. */
export interface Grant {
  /** The lock's or the election's name. */
  readonly name: string;
  /** Fencing token: grows with every grant of this name. A resource that refuses smaller ones is safe from past holders. */
  readonly token: bigint;
  /** This holder's id, as `holders`, `leader` and `candidates` show it. */
  readonly id: string;
  /** Whether it is still held, asked of the clock at this moment. Ask before each step that matters. */
  isValid(): boolean;
  /** Aborts when it is lost or released. */
  readonly signal: AbortSignal;
}

/** The grant that an admitted place is. */
export function grantOf(name: string, place: Place): Grant {
  return { name, token: place.entry.token, id: place.entry.id, isValid: () => place.isValid(), signal: place.signal };
}
