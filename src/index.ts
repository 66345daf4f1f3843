// What `campaign`, `leader`, `Contender.data` and `tryLock` emit is read with these, or by its `_tag`.
export { isLeft, isRight } from 'fp-ts/lib/Either.js';
export { isNone, isSome, toUndefined } from 'fp-ts/lib/Option.js';
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
} from './backends/backend.js';
export * from './backends/errors.js';
export type { BackendOptions } from './backends/options.js';
export { type ConnectOptions, connect } from './connect.js';
export { breakLock } from './observables/break-lock.js';
export { type CampaignOptions, campaign } from './observables/campaign.js';
export { candidates } from './observables/candidates.js';
export { closeOnSignals, type EndingSignal, type SignalOptions } from './observables/close-on-signals.js';
export type { Contender } from './observables/contender.js';
export { createGroup } from './observables/create-group.js';
export { deleteGroup } from './observables/delete-group.js';
export type { Grant } from './observables/grant.js';
export { groups } from './observables/groups.js';
export { holders } from './observables/holders.js';
export { type JoinOptions, join, type Membership } from './observables/join.js';
export { leader } from './observables/leader.js';
export { leadership } from './observables/leadership.js';
export { type LockOptions, lock } from './observables/lock.js';
export { type Member, memberMap } from './observables/member-map.js';
export { members } from './observables/members.js';
export { type Status, status } from './observables/status.js';
export { tryLock } from './observables/try-lock.js';
export { withLeadership } from './observables/with-leadership.js';
export { withLock } from './observables/with-lock.js';
export { type MembershipChange, membershipChanges } from './operators/membership-changes.js';
export { type RetryOptions, retryWithBackoff } from './operators/retry-with-backoff.js';
export { settled } from './operators/settled.js';
export { whileLeader } from './operators/while-leader.js';
export { whileLocked } from './operators/while-locked.js';
export { type GateOptions, whileTrue } from './operators/while-true.js';
