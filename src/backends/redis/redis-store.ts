import { filter, from, map, Observable, switchMap, take } from 'rxjs';
import type { Stores } from '../kernel/sharded-backend.js';
import type { Store, StoreContext, StoreSession } from '../store.js';
import { type Access, accessOf, checkClient, type RedisOptions } from './access.js';
import { Acquaintance } from './acquaintance.js';
import { redisCharacteristics } from './characteristics.js';
import { Connections } from './connections.js';
import { compact, type Layout, layoutOf } from './layout.js';
import { DEFAULT_NAMESPACE, shardsOf } from './options.js';
import { RedisSession } from './redis-session.js';
import { text } from './replies.js';
import { END, OPEN } from './scripts.js';

/** The adapter for Redis, when its client is loaded: a store for each shard. **Throws** `InvalidOptions`. */
export function redisStores(options: RedisOptions): Observable<Stores> {
  checkClient(options);
  const shards = shardsOf(options);
  const namespace = options.namespace ?? DEFAULT_NAMESPACE;
  const acquaint = (): Acquaintance => new Acquaintance(options.trustEmpty);
  const [first, others] = [acquaint(), Array.from({ length: shards - 1 }, acquaint)];
  return accessOf(options).pipe(
    map((access): Stores => {
      const storeOf = (acquaintance: Acquaintance, shard: number): Store => ({
        name: 'redis',
        address: access.address,
        characteristics: redisCharacteristics,
        open: (context) => open(access, layoutOf(namespace, shard, shards, access.keyPrefix), acquaintance, context),
      });
      return [storeOf(first, 0), ...others.map((each, at) => storeOf(each, at + 1))];
    }),
  );
}

function open(
  access: Access,
  layout: Layout,
  acquaintance: Acquaintance,
  context: StoreContext,
): Observable<StoreSession> {
  return new Observable((observer) => {
    const id = compact(context.newId());
    const { ttlMs } = context.timing;
    const failed = (cause: unknown): void => observer.error(cause);
    const connections = new Connections(access, layout, layout.sessionChannel(id), context, failed);
    let bidFarewell = (): void => undefined;
    observer.add(() => {
      bidFarewell();
      connections.close();
    });
    const session$ = connections.up$.pipe(
      filter((up) => up),
      take(1),
      switchMap(() => {
        const provedMs = context.now();
        const asking = acquaintance.ask({ id, ttlMs, epoch: 0 }, context.now);
        // What is on its way is opened all the same, and nobody else would end it. If this fails, it lasts for its ttl.
        bidFarewell = () => {
          connections.run('end the session', END, asking.write).catch(() => undefined);
        };
        return from(connections.run('open a session', OPEN, asking.write)).pipe(
          map(asking.read),
          map(({ dataId, reply }) => ({ id, ttlMs, provedMs, dataId, quarantineMs: Number(text(reply[1])) })),
        );
      }),
    );
    observer.add(
      session$.subscribe({
        next: (opened) => {
          bidFarewell = () => undefined;
          connections.keep();
          const session = new RedisSession(opened, connections, layout, acquaintance, context);
          observer.add(() => session.dispose());
          observer.next(session);
        },
        error: (cause) => observer.error(connections.failureOf(cause, 'open a session')),
      }),
    );
    connections.open();
  });
}
