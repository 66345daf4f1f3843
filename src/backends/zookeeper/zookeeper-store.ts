import { map, Observable } from 'rxjs';
import { loadClient, rethrow } from '../shared/load-client.js';
import type { Store, StoreContext, StoreSession } from '../store.js';
import { zookeeperCharacteristics } from './characteristics.js';
import { Hosts } from './hosts.js';
import { Link } from './link.js';
import type { ResolvedOptions } from './options.js';
import type { ClientModule } from './raw-client.js';
import { ZooKeeperSession } from './zookeeper-session.js';

/** The adapter that the kernel talks to, when its client is loaded. */
export function zookeeperStore(options: ResolvedOptions): Observable<Store> {
  const hosts = new Hosts(options.hosts);
  return loadClient('node-zookeeper-client', 'zookeeper', loadModule).pipe(
    map((module) => ({
      name: 'zookeeper',
      address: options.address,
      characteristics: zookeeperCharacteristics,
      open: (context) => open(module, hosts, options, context),
    })),
  );
}

async function loadModule(): Promise<ClientModule> {
  const module = await import(/* webpackIgnore: true */ 'node-zookeeper-client').catch(rethrow);
  return module as unknown as ClientModule;
}

function open(
  module: ClientModule,
  hosts: Hosts,
  options: ResolvedOptions,
  context: StoreContext,
): Observable<StoreSession> {
  return new Observable((subscriber) => {
    const link: Link = new Link(module, hosts, options, context, {
      opened: () => {
        const session = new ZooKeeperSession(link, options, context);
        subscriber.add(session.tidying());
        subscriber.next(session);
      },
      failed: (error) => subscriber.error(error),
    });
    subscriber.add(() => link.destroy());
    link.connect();
  });
}
