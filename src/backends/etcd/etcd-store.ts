import type { Etcd3 } from 'etcd3';
import { map, NEVER, Observable, startWith, switchMap } from 'rxjs';
import { InvalidOptions } from '../errors.js';
import { loadClient, rethrow } from '../shared/load-client.js';
import { orThrow } from '../shared/or-throw.js';
import type { Store, StoreContext, StoreSession } from '../store.js';
import { etcdCharacteristics } from './characteristics.js';
import { newClient } from './client.js';
import { Connection } from './connection.js';
import { EtcdSession } from './etcd-session.js';
import { type Grant, grantLease } from './grant.js';
import { Layout } from './layout.js';
import { Link } from './link.js';
import { checkHosts, type EtcdUrlOptions, isNamespaced, NAMESPACED } from './options.js';

type Module = typeof import('etcd3');

/** Options of `etcd`. */
export interface EtcdOptions extends EtcdUrlOptions {
  /**
   * A client that was made elsewhere, or how to get one; it is never closed here. One that is given as it is cannot be
   * replaced when it stops working, and its own fault handling and deadlines apply: a function is asked again for
   * each connection.
   */
  readonly client?: Etcd3 | (() => Etcd3) | undefined;
}

/** The adapter, when its client is loaded. **Throws** `InvalidOptions`. */
export function etcdStore(options: EtcdOptions): Observable<Store> {
  const hosts = orThrow(checkHosts(options));
  let store: Store | undefined;
  return loadClient('etcd3', 'etcd', () => import(/* webpackIgnore: true */ 'etcd3').catch(rethrow)).pipe(
    map((module) => {
      store ??= new EtcdStore(module, hosts, options);
      return store;
    }),
  );
}

/** The adapter: opens sessions in a cluster, one member after the other. */
class EtcdStore implements Store {
  readonly name = 'etcd';
  readonly address: string;
  readonly characteristics = etcdCharacteristics;
  readonly #layout: Layout;
  #turn: number;

  constructor(
    private readonly module: Module,
    private readonly hosts: readonly string[],
    private readonly options: EtcdOptions,
  ) {
    this.address = options.client === undefined ? hosts.join(',') : 'the client given';
    this.#layout = new Layout(options.namespace ?? '');
    // Not everybody begins with the same member.
    this.#turn = Math.floor(Math.random() * hosts.length);
  }

  open(context: StoreContext): Observable<StoreSession> {
    const connect = (): Connection => this.#connect(context);
    return new Observable<StoreSession>((subscriber) => {
      const connection = connect();
      subscriber.add(() => connection.close());
      // First, since it may have to connect, which takes nothing from the lease then.
      const opening = connection.greet(this.#layout.probe).pipe(
        switchMap(() => grantLease(connection, context)),
        map((grant) => this.#session(grant, connection, connect, context)),
        switchMap(({ session, link }) =>
          NEVER.pipe(
            startWith(session),
            untilUnsubscribed(() => link.close()),
          ),
        ),
      );
      subscriber.add(opening.subscribe(subscriber));
    });
  }

  #session(
    grant: Grant,
    connection: Connection,
    connect: () => Connection,
    context: StoreContext,
  ): { session: StoreSession; link: Link } {
    const link = new Link(connection, connect, this.#layout.probe, this, context);
    return { session: new EtcdSession(grant, link, this.#layout, context), link };
  }

  #connect({ timing, fault }: StoreContext): Connection {
    const { client, username, password = '' } = this.options;
    const host = this.hosts[this.#turn++ % this.hosts.length] ?? '';
    return new Connection({
      client: client === undefined ? newClient(this.module.Etcd3, host, this.options, timing) : clientOf(client),
      isOwn: client === undefined,
      address: this.options.client === undefined ? host : this.address,
      requestTimeoutMs: timing.requestTimeoutMs,
      user: username === undefined ? undefined : { username, password },
      fault,
    });
  }
}

function clientOf(client: Etcd3 | (() => Etcd3)): Etcd3 {
  if (typeof client !== 'function') return client;
  const made = client();
  if (isNamespaced(made)) throw new InvalidOptions([NAMESPACED]);
  return made;
}

function untilUnsubscribed<T>(close: () => void): (source: Observable<T>) => Observable<T> {
  return (source) =>
    new Observable<T>((subscriber) => {
      subscriber.add(close);
      return source.subscribe(subscriber);
    });
}
