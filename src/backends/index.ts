export type {
  Backend,
  Characteristics,
  ClockLike,
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
export { monotonicScheduler } from './kernel/clock.js';
export { createBackend } from './kernel/create-backend.js';
export { conflictsAhead } from './shared/admission.js';
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
} from './shared/expectations.js';
export { decodeSegment, encodeSegment } from './shared/keys.js';
export { loadClient } from './shared/load-client.js';
export { type BackendOptions, reconnectMs, type Timing } from './shared/options.js';
export { orThrow } from './shared/or-throw.js';
export { type Connector, registerScheme } from './shared/schemes.js';
export { type Host, type OptionKind, parseUrl, queryOptions, type StoreUrl } from './shared/url.js';
export type { Standing, StandRequest, Store, StoreContext, StoreSession } from './store.js';
