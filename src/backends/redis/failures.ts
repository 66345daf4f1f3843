import {
  AuthenticationFailed,
  CoordinationError,
  InvalidOptions,
  NotSupported,
  PermissionDenied,
  Unavailable,
} from '../errors.js';
import { Unanswered } from './wire.js';

/** What was asked, and of whom. */
export interface Asked {
  readonly operation: string;
  readonly address: string;
  readonly user: string;
  /** What the user needs, as `ACL SETUSER` takes it. */
  readonly rights: string;
  /** The script that was run, if it was one. */
  readonly lua?: string | undefined;
}

/** Sorts what clients and Redis report into what waiting heals, which is everything not known for the contrary. */
export function failureOf(cause: unknown, asked: Asked): CoordinationError {
  if (cause instanceof CoordinationError) return cause;
  const { operation, address, user, rights } = asked;
  const root = withoutArguments(rootOf(cause));
  const message = messageOf(cause);
  if (/^(WRONGPASS|NOAUTH)\b|invalid username-password pair|invalid password|user is disabled/i.test(message))
    return new AuthenticationFailed('redis', address, root);
  if (/^NOPERM\b|^(ERR )?(ACL failure in script|The user executing the script can't)/i.test(message))
    return new PermissionDenied(
      { name: 'redis', address },
      operation,
      root,
      `${commandIn(root, asked)} was refused to the user ${JSON.stringify(user)}, who needs ${rights}`,
    );
  if (/DB index is out of range/i.test(message))
    return new InvalidOptions([`db must be the index of a database that the server at ${address} has`]);
  if (/SELECT is not allowed in cluster mode/i.test(message)) return new NotSupported('redis', LONE_NODE, root);
  if (/cluster support disabled/i.test(message))
    return new NotSupported('redis', `a cluster at ${address}: it is a single server`, root);
  if (/^(ERR )?unknown (redis )?command/i.test(message))
    return new NotSupported(
      'redis',
      `the server at ${address}, which does not know ${commandIn(root, asked)}: it was renamed or disabled there, and is needed`,
      root,
    );
  return new Unavailable({ name: 'redis', address }, operation, root);
}

/** What a connection to a node of a cluster is for, if the cluster was not named. */
export const LONE_NODE = 'one node of a cluster by itself: name the cluster, as in redis-cluster:';

/** Whether the script is not in the server's cache, so that nothing of it has run. */
export function isUncached(cause: unknown): boolean {
  return cause instanceof Error && cause.message.startsWith('NOSCRIPT');
}

/** Whether the server itself said no, other than because it is starting, or the cluster does not serve the slot now or here. */
export function isRefusal(cause: unknown): boolean {
  return isReply(cause) && !/^(LOADING|MOVED|ASK|TRYAGAIN|CLUSTERDOWN)\b/.test(messageOf(cause));
}

/** Whether this server of a cluster does not serve the slot: it may be another's by now. */
export function isMoved(cause: unknown): boolean {
  return isReply(cause) && /^(MOVED|CLUSTERDOWN)\b/.test(messageOf(cause));
}

/**
 * Whether another server may serve what this one does not: it is no master any more, has lost its replicas, reads its
 * data, or does not have the slot. Nothing is to be expected of the same connection, so each is made again.
 */
export function isServedElsewhere(cause: unknown): boolean {
  return (
    isMoved(cause) ||
    (isReply(cause) &&
      /^(READONLY|MASTERDOWN|LOADING|NOREPLICAS|UNBLOCKED)\b|WAIT cannot be used with replica/.test(messageOf(cause)))
  );
}

/** Whether a command was given up without a reply: its connection may be dead without anybody noticing. */
export function isUnanswered(cause: unknown): boolean {
  return cause instanceof Unanswered;
}

function isReply(cause: unknown): boolean {
  return cause instanceof Error && cause.name === 'ReplyError';
}

/** Without what versions before 7.0 put before the errors of scripts. */
function messageOf(cause: unknown): string {
  const root = rootOf(cause);
  const message = root instanceof Error ? root.message : String(root);
  return message.replace(/^ERR Error running script \(call to \w+\): (?:@user_script: ?\d+: )*-?/, '');
}

// Where a host has several addresses, the errors of all come in one that has no message. What ioredis says of a command
// whose connection has broken is advice on an option that is not the user's.
function rootOf(cause: unknown): unknown {
  if (cause instanceof Error && cause.name === 'MaxRetriesPerRequestError')
    return new Error('the connection broke before the answer came', { cause });
  return cause instanceof AggregateError && cause.message === '' ? (cause.errors[0] ?? cause) : cause;
}

/** Without the arguments of its command, which ioredis adds: a password, or a payload. */
function withoutArguments(cause: unknown): unknown {
  const command = commandOf(cause);
  return command === undefined ? cause : Object.assign(cause as Error, { command: { name: command, args: [] } });
}

/** The command that was refused. Of those of a script 7.0 and earlier only tell the line. */
function commandIn(cause: unknown, { lua = '' }: Asked): string {
  const message = String(cause instanceof Error ? cause.message : cause);
  const quoted = /['`]([\w|-]+)['`]/.exec(message.replace(/\w'(?=[a-z])/g, ''))?.[1];
  if (quoted !== undefined) return quoted.toUpperCase();
  const line = lua.split('\n')[Number(/@user_script: ?(\d+)/.exec(message)?.[1] ?? 0) - 1] ?? '';
  const publish = /local PUBLISH = '(\w+)'/.exec(lua)?.[1] ?? 'PUBLISH';
  const called = [...line.matchAll(/\bcall\('?([A-Z]+)/g)].map(([, name = '']) =>
    name === 'PUBLISH' ? publish : name,
  );
  return called.length > 0 ? called.join(' or ') : (commandOf(cause) ?? 'a command');
}

/** The command that was sent, in capitals, as clients say. */
function commandOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error) || !('command' in cause)) return undefined;
  const { command } = cause;
  return typeof command === 'object' && command !== null && 'name' in command
    ? String(command.name).toUpperCase()
    : undefined;
}
