import {
  AuthenticationFailed,
  type CoordinationError,
  InvalidPayload,
  NotSupported,
  PermissionDenied,
  Unavailable,
} from '../errors.js';
import { type Asked, keysOf } from './asked.js';

/** gRPC's statuses. */
const CANCELLED = 1;
const PERMISSION_DENIED = 7;

const REFUSED = /etcdserver: (authentication failed|user name is empty|user name not found)/;
const TOO_LARGE =
  /etcdserver: request is too large|grpc: (received|trying to send) message larger than max|Attempted to send message with a size/;
const TOO_MANY_OPERATIONS = /etcdserver: too many operations in txn request/;

/** What etcd or gRPC said, in the library's words. What is not known to be lasting may pass. */
export function translate(cause: unknown, asked: Asked): CoordinationError {
  const { operation, address, username, path = '', message: request } = asked;
  const message = messageOf(cause);
  // It may quote the reason why it was given up here, which was another request's.
  if (isStatus(cause, CANCELLED)) return unavailable(operation, address, cause);
  if (REFUSED.test(message)) return new AuthenticationFailed('etcd', address, cause);
  if (isStatus(cause, PERMISSION_DENIED)) {
    const right = /\/Range$/.test(path) ? 'read' : 'readwrite';
    const whom = username === undefined ? 'whoever connects' : `user ${JSON.stringify(username)}`;
    return new PermissionDenied(
      { name: 'etcd', address },
      operation,
      told(
        `${whom} may not use the keys ${keysOf(request)}`,
        cause,
        `etcdctl role grant-permission ROLE ${right} KEYS`,
      ),
    );
  }
  if (TOO_LARGE.test(message)) {
    const keys = keysOf(request);
    const reason = `${address} refuses "${operation}" for its size (${message}): send less, or raise its --max-request-bytes`;
    return new InvalidPayload(keys, reason, cause);
  }
  if (TOO_MANY_OPERATIONS.test(message))
    return new NotSupported('etcd', `the --max-txn-ops of ${address}, which is too low for "${operation}"`, cause);
  if (/etcdserver: mvcc: database space exceeded/.test(message)) {
    const cure = 'compact and defragment it, or raise --quota-backend-bytes, then etcdctl alarm disarm';
    return unavailable(operation, address, told('its database is full', cause, cure));
  }
  return unavailable(operation, address, cause);
}

/** It may pass. */
export function unavailable(operation: string, address: string, cause: unknown): Unavailable {
  return new Unavailable({ name: 'etcd', address }, operation, cause);
}

/** Whether the failure is that the lease, to which something should be attached, has ended. */
export function isLeaseGone(failure: unknown): boolean {
  return hasSaid(failure, /etcdserver: requested lease not found/);
}

/** Whether it was refused for having too many parts, or too large ones: in smaller ones it may pass. */
export function isTooMuch(failure: unknown): boolean {
  return hasSaid(failure, TOO_LARGE) || hasSaid(failure, TOO_MANY_OPERATIONS);
}

/** A token that the server has forgotten, or given under other rights, or none since none was needed. Nothing was done. */
export function isOutdatedToken(failure: unknown): boolean {
  return hasSaid(failure, /etcdserver: (invalid auth token|revision of auth store is old|user name is empty)/);
}

export function isWithoutUsers(failure: unknown): boolean {
  return hasSaid(failure, /etcdserver: authentication is not enabled/);
}

export function isOverdue(failure: unknown): boolean {
  return hasSaid(failure, /^4 /);
}

/** What etcd has understood, and refused: it says nothing about the way to it. */
export function isRefusal(failure: unknown): boolean {
  return hasSaid(failure, /^(3|5|6|8|9|11) .*(etcdserver|mvcc)/) && !isOutdatedToken(failure);
}

/** Whether what failed so may have been done, or may still be: it was not refused. */
export function mayHaveHappened(failure: unknown): boolean {
  return !(isRefusal(failure) || isOutdatedToken(failure) || isStatus(failure, 7));
}

/** gRPC's status stands first in its messages. */
function isStatus(cause: unknown, code: number): boolean {
  return messageOf(cause).startsWith(`${code} `);
}

function told(what: string, cause: unknown, cure?: string): Error {
  return new Error(`${what}: ${messageOf(cause)}${cure === undefined ? '' : `; ${cure}`}`, { cause });
}

/** Also where the failure has been translated; but not where it only quotes why something was given up here. */
function hasSaid(failure: unknown, words: RegExp): boolean {
  if (failure instanceof Error && failure.cause !== undefined) return hasSaid(failure.cause, words);
  return words.test(messageOf(failure)) && !isStatus(failure, CANCELLED);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
