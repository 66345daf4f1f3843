import type { RedisOptions as ClientOptions, Redis } from 'ioredis';
import { defer, filter, from, map, Observable, of, switchMap, take } from 'rxjs';
import { loadClient } from '../load-client.js';
import type { Store, StoreContext, StoreSession } from '../store.js';
import { Acquaintance } from './acquaintance.js';
import { redisCharacteristics } from './characteristics.js';
import { Connections, type StrictOptions } from './connections.js';
import { failureOf } from './failures.js';
import { compact, type Layout, layoutOf } from './layout.js';
import { DEFAULT_NAMESPACE, type RedisUrlOptions } from './options.js';
import { RedisSession } from './redis-session.js';
import { OPEN } from './scripts.js';

type Connect = (options: StrictOptions) => Redis;

/** The adapter for Redis. */
/** Options of `redis`. */
export interface RedisOptions extends RedisUrlOptions {
  /**
   * A client of ioredis that says how to connect, in place of the options above: for sentinels, a socket's path or a
   * connector of one's own. It is duplicated, never used itself and never closed; make it with `lazyConnect: true` to
   * save its own connection. What would make a command run twice is switched off in the duplicates.
   */
  readonly client?: Redis | (() => Redis) | undefined;
}

export function redisStore(options: RedisOptions): Store {
  const address = addressOf(options);
  const layout = layoutOf(options.namespace ?? DEFAULT_NAMESPACE);
  const acquaintance = new Acquaintance();
  const connect$ = connecting(options);
  const { waitReplicas } = options;
  return {
    name: 'redis',
    address,
    characteristics: redisCharacteristics,
    open: (context) =>
      connect$.pipe(switchMap((connect) => open(connect, address, layout, acquaintance, context, waitReplicas))),
  };
}

function open(
  connect: Connect,
  address: string,
  layout: Layout,
  acquaintance: Acquaintance,
  context: StoreContext,
  waitReplicas: number | undefined,
): Observable<StoreSession> {
  return new Observable((observer) => {
    const id = compact(context.newId());
    const { ttlMs } = context.timing;
    const channel = layout.sessionChannel(id);
    const failed = (cause: unknown): void => observer.error(cause);
    const connections = new Connections(connect, channel, address, context, failed, waitReplicas);
    observer.add(() => connections.close());
    const session$ = connections.up$.pipe(
      filter((up) => up),
      take(1),
      switchMap(() => {
        const provedMs = context.now();
        const asking = acquaintance.ask({ id, ttlMs }, context.now);
        let runId = '';
        return from(
          connections.run('open a session', OPEN, layout.main, (server) => {
            runId = server.runId;
            return asking.preamble(server);
          }),
        ).pipe(
          map(asking.read),
          map(() => ({ id, ttlMs, provedMs, runId })),
        );
      }),
    );
    observer.add(
      session$.subscribe({
        next: (opened) => {
          connections.keep();
          const session = new RedisSession(opened, connections, layout, acquaintance, context);
          observer.add(() => session.dispose());
          observer.next(session);
        },
        error: (cause) => observer.error(failureOf(cause, 'open a session', address)),
      }),
    );
    connections.open();
  });
}

/** How connections are made: by a client that was given, or by the package, which is loaded when it is first needed. */
function connecting({ client, host, port, db, username, password, tls }: RedisOptions): Observable<Connect> {
  if (client !== undefined) {
    let model: Redis | undefined;
    return defer(() => {
      model ??= typeof client === 'function' ? client() : client;
      const { duplicate } = model;
      return of((options: StrictOptions) => duplicate.call(model, options));
    });
  }
  const own: ClientOptions = {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(db === undefined ? {} : { db }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined || tls === false ? {} : { tls: tls === true ? {} : tls }),
  };
  return loadClient('ioredis', 'redis', () => import('ioredis')).pipe(
    map(
      ({ Redis }) =>
        (options) =>
          new Redis({ ...own, ...options }),
    ),
  );
}

function addressOf({ client, host = 'localhost', port = 6379 }: RedisOptions): string {
  if (typeof client === 'function') return 'the address of the given client';
  const of = client?.options ?? { host, port };
  return of.path ?? `${of.host}:${of.port}`;
}
