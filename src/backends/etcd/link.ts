import type { Etcd3 } from 'etcd3';
import { BehaviorSubject, defer, type Observable, Subscription, throwError, timer } from 'rxjs';
import { type StoreLocation, Unavailable } from '../errors.js';
import { reconnectMs } from '../shared/options.js';
import type { StoreContext } from '../store.js';
import type { CallOptions } from './calls.js';
import type { Connection } from './connection.js';

/** Keeps a session connected: when its connection breaks, it connects again, with back-off, to the next member. */
export class Link {
  readonly up$: BehaviorSubject<boolean> = new BehaviorSubject(true);
  #connection: Connection | undefined;
  readonly #attempts = new Subscription();

  constructor(
    connection: Connection,
    private readonly connect: () => Connection,
    private readonly probeKey: string,
    readonly store: StoreLocation,
    private readonly context: StoreContext,
  ) {
    this.#adopt(connection);
  }

  get connection(): Connection | undefined {
    return this.#connection;
  }

  call<T>(operation: string, send: (client: Etcd3, options: CallOptions) => Promise<T>): Observable<T> {
    return this.through(operation, (connection) => connection.call(operation, send));
  }

  /** What keeps or ends the session. */
  callAtOnce<T>(operation: string, send: (client: Etcd3, options: CallOptions) => Promise<T>): Observable<T> {
    return this.through(operation, (connection) => connection.callAtOnce(operation, send));
  }

  /** What is done over the connection there is, if there is one. */
  through<T>(operation: string, use: (connection: Connection) => Observable<T>): Observable<T> {
    return defer(() =>
      this.#connection === undefined
        ? throwError(() => new Unavailable(this.store, operation, new Error('there is no connection')))
        : use(this.#connection),
    );
  }

  close(): void {
    this.#attempts.unsubscribe();
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.close();
  }

  #adopt(connection: Connection): void {
    this.#connection = connection;
    connection.onBroken = (cause) => {
      if (this.#connection !== connection) return;
      this.#connection = undefined;
      this.up$.next(false);
      this.#connectAfter(0);
      this.context.fault(cause);
    };
  }

  #connectAfter(attempt: number): void {
    const { timing, scheduler } = this.context;
    const again$ = timer(reconnectMs(timing, attempt), scheduler);
    this.#attempts.add(again$.subscribe(() => this.#connectAgain(attempt)));
  }

  #connectAgain(attempt: number): void {
    let connection: Connection;
    try {
      connection = this.connect();
    } catch (cause) {
      // A client that the caller makes may fail in the making.
      this.#connectAfter(attempt + 1);
      this.context.fault(new Unavailable(this.store, 'make a client', cause));
      return;
    }
    const abandoned = new Subscription(() => connection.close());
    this.#attempts.add(abandoned);
    connection.greet(this.probeKey).subscribe({
      next: () => {
        this.#attempts.remove(abandoned);
        this.#adopt(connection);
        this.up$.next(true);
      },
      error: (cause) => {
        this.#attempts.remove(abandoned);
        connection.close();
        if (!this.#attempts.closed) this.#connectAfter(attempt + 1);
        // What waiting does not heal is told, since the session may end for it.
        if (!(cause instanceof Unavailable)) this.context.fault(cause);
      },
    });
  }
}
