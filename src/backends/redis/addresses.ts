import { catchError, type Observable, throwError } from 'rxjs';
import type { Host } from '../shared/url.js';

/** Where a server is reached. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Where servers are reached from here that name themselves otherwise. */
export type NatMap = Readonly<Record<string, Address>> | ((name: string) => Address | null | undefined);

const DEFAULT_PORT = 6379;

export function addressOf({ host, port }: Host, defaultPort: number = DEFAULT_PORT): Address {
  return { host, port: port ?? defaultPort };
}

export function translated(address: Address, natMap: NatMap | undefined): Address {
  const name = `${address.host}:${address.port}`;
  return (typeof natMap === 'function' ? natMap(name) : natMap?.[name]) ?? address;
}

export function unique(addresses: readonly Address[]): readonly Address[] {
  return [...new Map(addresses.map((each) => [`${each.host}:${each.port}`, each])).values()];
}

/** For messages. */
export function shown(addresses: readonly Address[]): string {
  return addresses.map(({ host, port }) => `${host}:${port}`).join(',');
}

/** What the first of them answers that does; if none does, why the last one did not. */
export function firstAnswer<T>(addresses: readonly Address[], ask: (address: Address) => Observable<T>): Observable<T> {
  const [first, ...others] = addresses;
  if (first === undefined) return throwError(() => new Error('there is nobody to ask'));
  return others.reduce((answer$, each) => answer$.pipe(catchError(() => ask(each))), ask(first));
}
