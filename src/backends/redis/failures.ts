import {
  AuthenticationFailed,
  CoordinationError,
  InvalidOptions,
  NotSupported,
  PermissionDenied,
  Unavailable,
} from '../errors.js';

/** Sorts what ioredis and Redis report into what waiting heals, which is everything not known for the contrary. */
export function failureOf(cause: unknown, operation: string, address: string): CoordinationError {
  if (cause instanceof CoordinationError) return cause;
  const root = rootOf(cause);
  const message = root instanceof Error ? root.message : String(root);
  if (/^(WRONGPASS|NOAUTH)\b|invalid username-password pair|invalid password|user is disabled/i.test(message))
    return new AuthenticationFailed('redis', address, root);
  if (/^NOPERM\b|ACL failure in script|permissions to run|permissions to access/i.test(message))
    return new PermissionDenied('redis', operation, root);
  if (/DB index is out of range/i.test(message))
    return new InvalidOptions([`db must be the index of a database that the server at ${address} has`]);
  if (/cluster support disabled/i.test(message))
    return new NotSupported('redis', `a cluster at ${address}: it is a single server`);
  if (/^ERR unknown command/i.test(message)) return new NotSupported('redis', `${operation}: it must be 6.2 or later`);
  return new Unavailable('redis', operation, root);
}

/** Whether the script is not in the server's cache, so that nothing of it has run. */
export function isUncached(cause: unknown): boolean {
  return cause instanceof Error && cause.message.startsWith('NOSCRIPT');
}

/** Whether the server itself said no, other than because it is starting, or the cluster does not serve the slot now or here. */
export function isRefusal(cause: unknown): boolean {
  return (
    cause instanceof Error &&
    cause.name === 'ReplyError' &&
    !/^(LOADING|MOVED|ASK|TRYAGAIN|CLUSTERDOWN)\b/.test(cause.message)
  );
}

/** Whether this server of a cluster does not serve the slot: it may be another's by now. */
export function isMoved(cause: unknown): boolean {
  return cause instanceof Error && /^(MOVED|CLUSTERDOWN)\b/.test(cause.message);
}

/** Whether a command was given up without a reply: its connection may be dead without anybody noticing. */
export function isUnanswered(cause: unknown): boolean {
  return cause instanceof Error && cause.message === 'Command timed out';
}

// Where a host has several addresses, the errors of all come in one that has no message.
function rootOf(cause: unknown): unknown {
  return cause instanceof AggregateError && cause.message === '' ? (cause.errors[0] ?? cause) : cause;
}
