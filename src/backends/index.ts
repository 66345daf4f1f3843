export { conflictsAhead } from './admission.js';
export type {
  Backend,
  Characteristics,
  CloseOptions,
  Codec,
  Entry,
  EntryRequest,
  Expected,
  Mode,
  Place,
  RosterKey,
  RosterKind,
  Session,
  SwapResult,
  Versioned,
} from './backend.js';
export { type ClockLike, monotonicScheduler } from './clock.js';
export { createBackend } from './create-backend.js';
export {
  check,
  type Expectation,
  either,
  FLAG,
  FUNCTION,
  integer,
  listOf,
  number,
  objectWith,
  TEXT,
} from './expectations.js';
export { decodeSegment, encodeSegment } from './keys.js';
export { loadClient } from './load-client.js';
export { type BackendOptions, reconnectMs, type Timing } from './options.js';
export { orThrow } from './or-throw.js';
export { type Connector, registerScheme } from './schemes.js';
export type { Standing, StandRequest, Store, StoreContext, StoreSession } from './store.js';
export { type Host, type OptionKind, parseUrl, queryOptions, type StoreUrl } from './url.js';
