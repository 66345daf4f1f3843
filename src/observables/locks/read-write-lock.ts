import type { Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import type { Grant } from '../holding/grant.js';
import { type LockOptions, lock } from './lock.js';

/**
 * Holds the lock `name` beside other readers, and never beside a writer.
 *
 *     writer   g------|
 *     reader   -------g----------
 *     reader   ---------g--------      both read
 *     writer   ----------              waits for both, and holds back readers who come after it
 *
 * `lock` with `mode: 'shared'`: everything else is as there. `holders` shows all who share it.
 *
 * **Emits** one `Grant` when no writer holds it or has come before, and stays open while it is held.
 * **Errors** as `lock`.
 * **Completes** as `lock`.
 * **Teardown** as `lock`.
 * **Guarantee** that of `lock`, between a writer and everybody else. First come, first served where the backend is `fair`: nobody
 * starves. One who reads and asks to write as well waits for itself for ever: let go first.
 * **Source** kazoo `ReadLock`, Curator `InterProcessReadWriteLock`, tooz `acquire(shared=True)`.
 *
 * @example
 * readLock(backend, 'catalogue').subscribe((grant) => console.log('reads, with token', grant.token));
 */
export function readLock(backend: Backend, name: string, options: Omit<LockOptions, 'mode'> = {}): Observable<Grant> {
  return lock(backend, name, { ...options, mode: 'shared' });
}

/**
 * Holds the lock `name` alone: neither beside a reader nor beside another writer.
 *
 *     reader   g------|
 *     writer   -------g-------
 *
 * `lock`, under the name that goes with `readLock`; the two exclude each other.
 *
 * **Emits** one `Grant` when nobody holds it or has come before, and stays open while it is held.
 * **Errors** as `lock`.
 * **Completes** as `lock`.
 * **Teardown** as `lock`.
 * **Guarantee** that of `readLock`.
 * **Source** kazoo `WriteLock`, Curator `InterProcessReadWriteLock`.
 *
 * @example
 * writeLock(backend, 'catalogue').subscribe((grant) => console.log('writes, with token', grant.token));
 */
export function writeLock(backend: Backend, name: string, options: Omit<LockOptions, 'mode'> = {}): Observable<Grant> {
  return lock(backend, name, { ...options, mode: 'exclusive' });
}
