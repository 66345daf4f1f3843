import { catchError, defer, from, type Observable, throwError } from 'rxjs';
import { MissingPackage } from './errors.js';

/** Imports a store's client package when it is first needed; errors with `MissingPackage` where it is not installed. */
export function loadClient<T>(packageName: string, backend: string, load: () => Promise<T>): Observable<T> {
  return defer(() => from(load())).pipe(
    catchError((cause) =>
      throwError(() => (isMissing(cause) ? new MissingPackage(packageName, backend, cause) : cause)),
    ),
  );
}

function isMissing(cause: unknown): boolean {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
}
