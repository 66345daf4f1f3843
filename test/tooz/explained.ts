/** The stores on which tooz's tests are run. */
export type StoreName = 'memory' | 'redis' | 'etcd' | 'zookeeper';

/** A test that does not pass, and why that is as it should be. One that passes all the same is a failure. */
export interface Explained {
  readonly test: string;
  readonly outcome: 'failed' | 'skipped';
  readonly on: readonly StoreName[];
  readonly why: string;
}

export const explained: readonly Explained[] = [
  {
    test: 'TestAPI.test_connection_error_bad_host',
    outcome: 'skipped',
    on: ['memory'],
    why: 'the memory store is on no host',
  },
  {
    test: 'TestAPI.test_get_lock_concurrency_locking_two_lock_process',
    outcome: 'failed',
    on: ['memory'],
    why: 'the memory store is within one process: another one has a store of its own, in which the lock is free',
  },
];
