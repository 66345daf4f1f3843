import { AuthenticationFailed, type CoordinationError, PermissionDenied, Unavailable } from '../errors.js';

const REFUSED =
  /etcdserver: (authentication failed|user name is empty|user name not found|authentication is not enabled)/;

/** What etcd or gRPC said, in the library's words. What is not known to be lasting may pass. */
export function translate(cause: unknown, operation: string, address: string): CoordinationError {
  const message = messageOf(cause);
  if (REFUSED.test(message)) return new AuthenticationFailed('etcd', address, cause);
  // The number is gRPC's status, which stands first in its messages.
  if (message.includes('etcdserver: permission denied') || /^7 /.test(message))
    return new PermissionDenied('etcd', operation, cause);
  return new Unavailable('etcd', operation, cause);
}

/** Whether the failure is that the lease, to which something should be attached, has ended. */
export function isLeaseGone(error: unknown): boolean {
  const cause = error instanceof Unavailable ? error.cause : error;
  return messageOf(cause).includes('etcdserver: requested lease not found');
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
