import { connect, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { AbstractConnector, RedisOptions } from 'ioredis';
import { firstValueFrom, type Observable, Subject, takeUntil } from 'rxjs';
import type { Address } from './cluster-map.js';

type Connector = NonNullable<RedisOptions['Connector']>;

/** What ioredis gives to a connector. */
type Given = Pick<RedisOptions, 'tls'> & { readonly disconnectTimeout: number };

/** Leads a client of one server to whoever has a slot of the cluster, asked anew for each connection. */
export function slotConnector(Base: typeof AbstractConnector, ownerOf: () => Observable<Address>): Connector {
  return class extends Base {
    readonly #tls: RedisOptions['tls'];
    readonly #disconnected = new Subject<void>();

    constructor(options: unknown) {
      const { disconnectTimeout, tls } = options as Given;
      super(disconnectTimeout);
      this.#tls = tls;
    }

    async connect(): Promise<Socket> {
      this.connecting = true;
      delete this.firstError;
      try {
        const owner = await firstValueFrom(ownerOf().pipe(takeUntil(this.#disconnected)));
        if (!this.connecting) throw new Error('the connection was closed');
        const stream = this.#tls === undefined ? connect(owner) : connectTls({ ...owner, ...this.#tls });
        stream.once('error', (error) => {
          this.firstError = error;
        });
        this.stream = stream;
        return stream;
      } catch (error) {
        // If this failed, ioredis would never try again, as it does after a connection that has broken.
        this.firstError = error instanceof Error ? error : new Error(String(error));
        return new Socket().destroy();
      }
    }

    override disconnect(): void {
      super.disconnect();
      this.#disconnected.next();
    }
  };
}
