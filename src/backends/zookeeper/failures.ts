import {
  catchError,
  type MonoTypeOperatorFunction,
  type ObservableInput,
  type OperatorFunction,
  throwError,
} from 'rxjs';
import {
  AuthenticationFailed,
  CoordinationError,
  InvalidOptions,
  PermissionDenied,
  SessionLost,
  Unavailable,
} from '../errors.js';

/** Error codes of ZooKeeper that mean something to the adapter. */
export const Code = {
  connectionLoss: -4,
  unimplemented: -6,
  noNode: -101,
  noAuth: -102,
  badVersion: -103,
  nodeExists: -110,
  notEmpty: -111,
  sessionExpired: -112,
  invalidAcl: -114,
  authFailed: -115,
  sessionMoved: -118,
  notReadOnly: -119,
  quotaExceeded: -125,
  throttled: -127,
} as const;

/** A request that the server answered with an error. */
export class Refused extends Error {
  override readonly name = 'Refused';
  constructor(
    readonly code: number,
    readonly operation: string,
    cause?: unknown,
    /** Of a transaction: which of its steps. */
    readonly step?: number,
  ) {
    super(`ZooKeeper answered "${operation}" with ${nameOf(code)}`, { cause });
  }
}

/** 0 for an error that is no answer of the server. */
export function codeOf(error: Error): number {
  return 'code' in error && typeof error.code === 'number' ? error.code : 0;
}

function nameOf(code: number): string {
  const known = Object.entries(Code).find(([, value]) => value === code);
  return known === undefined ? `error ${code}` : `${known[0]} (${code})`;
}

/** What to do instead where the server refuses with one of these codes. */
export function onRefusal<T, R>(
  codes: readonly number[],
  instead: () => ObservableInput<R>,
): OperatorFunction<T, T | R> {
  return catchError((error) =>
    error instanceof Refused && codes.includes(error.code) ? instead() : throwError(() => error),
  );
}

/** What to do instead where a transaction is refused for its first step. */
export function onFirstRefusal<T, R>(code: number, instead: () => ObservableInput<R>): OperatorFunction<T, T | R> {
  return catchError((error) =>
    error instanceof Refused && error.step === 0 && error.code === code ? instead() : throwError(() => error),
  );
}

/** What the server refuses though nothing of it says that it will go on doing so: it is tried again. */
export function isPassing(error: unknown): error is Refused {
  const lasting: readonly number[] = [Code.noAuth, Code.invalidAcl, Code.authFailed, Code.sessionExpired];
  return error instanceof Refused && !lasting.includes(error.code);
}

/** Turns what the server refused into the errors of the port. */
export function translated<T>(address: string, sessionId: string): MonoTypeOperatorFunction<T> {
  return catchError((error) => throwError(() => toCoordinationError(error, address, sessionId)));
}

function toCoordinationError(error: unknown, address: string, sessionId: string): unknown {
  if (error instanceof CoordinationError) return error;
  const store = { name: 'zookeeper', address };
  if (!(error instanceof Refused)) return new Unavailable(store, 'an operation', error);
  switch (error.code) {
    case Code.noAuth:
      return new PermissionDenied(store, error.operation, error);
    case Code.invalidAcl:
      return new InvalidOptions(['acl is refused by the server: does it need auth, or is its scheme unknown there?']);
    case Code.authFailed:
      return new AuthenticationFailed('zookeeper', address, error);
    case Code.sessionExpired:
      return new SessionLost(sessionId, 'the store has expired it', true, error);
    default:
      return new Unavailable(store, error.operation, error);
  }
}
