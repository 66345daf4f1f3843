import { catchError, defer, from, type Observable, throwError } from 'rxjs';
import { MissingPackage } from '../errors.js';

/**
 * Imports a store's client package when it is first needed; errors with `MissingPackage` where it is not installed.
 *
 * What `load` imports is named in it literally, marked as `webpackIgnore`, and followed by `.catch(rethrow)`. So most
 * bundlers take a package in that is installed, and leave one out that is not, since they see that this is handled.
 * webpack never sees that, and would fail: it leaves such an import to the run time.
 */
export function loadClient<T>(packageName: string, backend: string, load: () => Promise<T>): Observable<T> {
  return defer(() => from(load())).pipe(
    catchError((cause) =>
      throwError(() => (isMissing(cause, packageName) ? new MissingPackage(packageName, backend, cause) : cause)),
    ),
  );
}

/** Shows a bundler that a failed import is handled. */
export function rethrow(cause: unknown): never {
  throw cause;
}

function isMissing(cause: unknown, packageName: string): boolean {
  if (!(cause instanceof Error)) return false;
  const code = 'code' in cause ? cause.code : undefined;
  return (
    code === 'ERR_MODULE_NOT_FOUND' ||
    code === 'MODULE_NOT_FOUND' ||
    // What Vite puts in the place of an optional package that was not there.
    cause.message.startsWith(`Could not resolve "${packageName}"`)
  );
}
