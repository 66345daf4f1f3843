// What `campaign`, `leader`, `Contender.data` and `tryLock` emit is read with these, or by its `_tag`.

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
export * from './backends/fencing-errors.js';
export { isLeft, isRight } from './backends/shared/either.js';
export { isNone, isSome, toUndefined } from './backends/shared/option.js';
export type { BackendOptions } from './backends/shared/options.js';
export { type ConnectOptions, connect } from './connect.js';
export { type Fetch, fencedHttp, type HttpWrite } from './fencing/fenced-http.js';
export { fencedRedis, type IoredisClient, type NodeRedisClient, type RedisWrite } from './fencing/fenced-redis.js';
export { fencedSql, type SqlWrite } from './fencing/fenced-sql.js';
export type { MySqlClient, PostgresClient, SqlValue } from './fencing/sql-clients.js';
export type { FencedWrite } from './fencing/write.js';
export { type CampaignOptions, campaign } from './observables/elections/campaign.js';
export { candidates } from './observables/elections/candidates.js';
export { handOver } from './observables/elections/hand-over.js';
export type { Lead } from './observables/elections/lead.js';
export { leader } from './observables/elections/leader.js';
export { leadership } from './observables/elections/leadership.js';
export { type LeadershipState, leadershipState } from './observables/elections/leadership-state.js';
export { withLeadership } from './observables/elections/with-leadership.js';
export { createGroup } from './observables/groups/create-group.js';
export { type DeleteGroupOptions, deleteGroup } from './observables/groups/delete-group.js';
export { evictMember } from './observables/groups/evict-member.js';
export { groups } from './observables/groups/groups.js';
export { type JoinOptions, join } from './observables/groups/join.js';
export { type Member, type MembersOptions, memberMap } from './observables/groups/member-map.js';
export { members } from './observables/groups/members.js';
export type { Membership } from './observables/groups/membership.js';
export type { Contender } from './observables/holding/contender.js';
export type { Grant } from './observables/holding/grant.js';
export { breakLock } from './observables/locks/break-lock.js';
export { holders } from './observables/locks/holders.js';
export { type HoldOptions, type LockOptions, lock } from './observables/locks/lock.js';
export { type GrantOfAll, lockAll, withLocks } from './observables/locks/lock-all.js';
export { lockName } from './observables/locks/lock-name.js';
export { readLock, writeLock } from './observables/locks/read-write-lock.js';
export { type SemaphoreOptions, semaphore, trySemaphore, withPermit } from './observables/locks/semaphore.js';
export { tryLock } from './observables/locks/try-lock.js';
export { withLock } from './observables/locks/with-lock.js';
export type { TickState } from './observables/scheduling/journal.js';
export type { When } from './observables/scheduling/occurrences.js';
export { type ScheduleOptions, schedule } from './observables/scheduling/schedule.js';
export { scheduleHistory, type TickRecord } from './observables/scheduling/schedule-history.js';
export type { Tick, TickEvent } from './observables/scheduling/ticks.js';
export { closeOnSignals, type EndingSignal, type SignalOptions } from './observables/session/close-on-signals.js';
export { type Status, status } from './observables/session/status.js';
export { type HashRingOptions, hashRing } from './observables/sharing/hash-ring.js';
export { itemLockName } from './observables/sharing/items.js';
export { partition } from './observables/sharing/partition.js';
export type { PartitionOptions, SharedItems } from './observables/sharing/partition-options.js';
export type { OwnersOptions, Ring, RingKey } from './observables/sharing/ring.js';
export { withPartition } from './observables/sharing/with-partition.js';
export { type ExclusiveMapOptions, exclusiveMap } from './operators/exclusive-map.js';
export { type Fenced, fenced } from './operators/fenced.js';
export {
  type MembershipChange,
  type MembershipChangesOptions,
  membershipChanges,
} from './operators/membership-changes.js';
export { ownedBy } from './operators/owned-by.js';
export { type RetryOptions, retryWithBackoff } from './operators/retry-with-backoff.js';
export { settled } from './operators/settled.js';
export { whileLeader } from './operators/while-leader.js';
export { whileLocked } from './operators/while-locked.js';
export { whileMember } from './operators/while-member.js';
export { whileOwner } from './operators/while-owner.js';
export { whileQuorum } from './operators/while-quorum.js';
export { type GateOptions, whileTrue } from './operators/while-true.js';
export { type Acquired, type AcquireOptions, acquire } from './promises/acquire.js';
export { latest } from './promises/latest.js';
export { type RunCoordinator, runCoordinator } from './promises/run-coordinator.js';
export {
  type BackendOf,
  type Synchronized,
  type SynchronizedOptions,
  type SynchronizedStream,
  synchronized,
} from './promises/synchronized.js';
