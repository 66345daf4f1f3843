import type { NatMap, Redis } from 'ioredis';
import { catchError, finalize, map, Observable, share, take, tap, throwError } from 'rxjs';
import type { Host } from '../url.js';
import type { StrictOptions } from './strict-options.js';

/** Where a node is reached. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const DEFAULT_PORT = 6379;

/**
 * Which master of a Redis Cluster has which slot: asked of the nodes whenever a connection is made, each time beginning
 * with another, since one that is cut off from the rest goes on saying what was so before.
 */
export class ClusterMap {
  #known: readonly Address[];
  #turn = 0;
  #looking: Observable<unknown> | undefined;

  constructor(
    private readonly seeds: readonly Address[],
    /** Makes the client of one node, which connects once. */
    private readonly clientOf: (address: Address, options: StrictOptions) => Redis,
    private readonly natMap: NatMap | undefined,
  ) {
    this.#known = seeds;
  }

  /**
   * Who has the slot, as one of the nodes says now. Errors if none answers, with why the last one did not. When nobody
   * is subscribed any more, nothing is asked any more.
   */
  ownerOf(slot: number, options: StrictOptions): Observable<Address> {
    // Connections that are made at the same time ask together.
    this.#looking ??= this.#look(options).pipe(
      finalize(() => {
        this.#looking = undefined;
      }),
      share(),
    );
    return this.#looking.pipe(
      take(1),
      map((ranges) => {
        for (const [first, last, master] of listsIn(ranges))
          if (Number(first) <= slot && slot <= Number(last)) return this.#translated(addressIn(master));
        throw new Error(`no master of the cluster has the slot ${slot}`);
      }),
    );
  }

  #look(options: StrictOptions): Observable<unknown> {
    const turn = this.#turn++ % this.#known.length;
    const [first, ...others] = [...this.#known.slice(turn), ...this.#known.slice(0, turn)];
    const none = throwError(() => new Error('no node of the cluster is known'));
    return others
      .reduce(
        (answer, node) => answer.pipe(catchError(() => this.#ask(node, options))),
        first === undefined ? none : this.#ask(first, options),
      )
      .pipe(
        tap((ranges) => {
          const found = listsIn(ranges).flatMap((range) =>
            range.slice(2).map((each) => this.#translated(addressIn(each))),
          );
          this.#known = unique([...this.seeds, ...found]);
        }),
      );
  }

  #ask(node: Address, options: StrictOptions): Observable<unknown> {
    return new Observable((observer) => {
      const client = this.clientOf(node, { ...options, retryStrategy: () => null });
      let reason: unknown;
      client.on('error', (error: unknown) => {
        reason = error;
      });
      client
        .connect()
        .then(() => client.cluster('SLOTS'))
        .then(
          (ranges) => {
            // Who does not know its own name is where it was asked.
            observer.next(
              listsIn(ranges).map(([first, last, ...all]) => [
                first,
                last,
                ...all.map((each) => (Array.isArray(each) ? [each[0] || node.host, each[1]] : each)),
              ]),
            );
            observer.complete();
          },
          (error) => observer.error(reason ?? error),
        );
      return () => client.disconnect();
    });
  }

  #translated(address: Address): Address {
    const key = `${address.host}:${address.port}`;
    const { natMap } = this;
    return (typeof natMap === 'function' ? natMap(key) : natMap?.[key]) ?? address;
  }
}

/** The nodes that ioredis's Cluster was given, in any of the forms that it takes. */
export function addressOfNode(node: unknown): Address {
  if (typeof node === 'number') return { host: '127.0.0.1', port: node };
  if (typeof node === 'string') {
    const { hostname, port } = new URL(node.includes('://') ? node : `redis://${node}`);
    return addressOf({ host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? undefined : Number(port) });
  }
  const { host = '127.0.0.1', port } = node as Partial<Host>;
  return addressOf({ host, port });
}

export function addressOf({ host, port = DEFAULT_PORT }: Host): Address {
  return { host, port };
}

function addressIn(node: unknown): Address {
  const [host, port] = Array.isArray(node) ? node : [];
  return { host: String(host), port: Number(port) };
}

function listsIn(value: unknown): readonly (readonly unknown[])[] {
  return Array.isArray(value) ? value.filter((each) => Array.isArray(each)) : [];
}

function unique(addresses: readonly Address[]): readonly Address[] {
  return [...new Map(addresses.map((each) => [`${each.host}:${each.port}`, each])).values()];
}
