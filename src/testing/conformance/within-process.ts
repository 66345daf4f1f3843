import { BehaviorSubject, defer, filter, finalize, map, type Observable, of, switchMap, tap, throwError } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { createBackend } from '../../backends/create-backend.js';
import { Unavailable } from '../../backends/errors.js';
import type { BackendOptions } from '../../backends/options.js';
import type { Store, StoreContext, StoreSession } from '../../backends/store.js';
import { type PeerCalls, peerCalls } from './peer-calls.js';
import type { Link, OwnServer, Peer, Quirks } from './quirks.js';

/** A store in this process, to which any number of backends connect. */
export interface LocalStore {
  adapter(namespace?: string): Store;
}

/** What `withinProcess` needs to know. */
export interface WithinProcess extends Pick<Quirks, 'name' | 'url' | 'module' | 'ttlMs' | 'declares'> {
  /** The one that the cases share. */
  readonly store: LocalStore;
  /** Makes an empty one. */
  newStore(): LocalStore;
}

/** The quirks of a store in this process: what is a process or a wire elsewhere is a backend behind a link here. */
export function withinProcess({ store, newStore, ...quirks }: WithinProcess): Quirks {
  return {
    ...quirks,
    startLink: async () => new LocalLink(store),
    startServer: async (): Promise<OwnServer> => {
      const link = new LocalLink(newStore());
      return {
        connect: (options) => link.connect(options),
        stop: async () => link.cut(),
        start: async ({ keepData } = { keepData: true }) => {
          if (!keepData) link.store = newStore();
          await link.heal();
        },
        [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
      };
    },
    startPeer: async (options): Promise<Peer> => {
      const link = new LocalLink(store);
      const backend = link.connect(options);
      const calls = peerCalls(backend);
      return {
        request: (call, ...args) => performed(calls, call, args),
        kill: async () => link.cut(),
        [Symbol.asyncDispose]: () => backend.close(),
      };
    },
  };
}

async function performed<K extends keyof PeerCalls>(
  calls: PeerCalls,
  call: K,
  args: Parameters<PeerCalls[K]>,
): Promise<Awaited<ReturnType<PeerCalls[K]>>> {
  const perform = calls[call] as (...given: Parameters<PeerCalls[K]>) => ReturnType<PeerCalls[K]>;
  return await perform(...args);
}

/** Between a store and its backends: what a wire does to requests and replies is done to calls and results. */
class LocalLink implements Link {
  #passes: 'everything' | 'requests' | 'news' | 'nothing' = 'everything';
  readonly #isWhole = new BehaviorSubject(true);
  #connections = 0;
  #trap: { readonly marker: string; sprung(): void } | undefined;

  constructor(public store: LocalStore) {}

  connect(options: BackendOptions): Backend {
    const { name, address, characteristics } = this.store.adapter(options.namespace);
    const open = (context: StoreContext): Observable<StoreSession> =>
      defer(() => {
        if (this.#passes !== 'everything') return this.#unanswered('open');
        return this.store
          .adapter(options.namespace)
          .open(context)
          .pipe(
            tap(() => this.#connections++),
            map((session) => this.#through(session)),
            finalize(() => this.#connections--),
          );
      });
    return createBackend(name, characteristics, of({ name, address, characteristics, open }), options);
  }

  cut(): void {
    this.#passes = 'nothing';
    this.#isWhole.next(false);
  }

  mute(): void {
    this.#passes = 'requests';
  }

  silence(): void {
    this.#passes = 'news';
  }

  muteAfter(marker: string): Promise<void> {
    return new Promise((sprung) => {
      this.#trap = { marker, sprung };
    });
  }

  async heal(): Promise<void> {
    this.#passes = 'everything';
    this.#isWhole.next(true);
  }

  async reset(): Promise<void> {
    this.cut();
    await this.heal();
  }

  connections(): number {
    return this.#connections;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.heal();
  }

  #through(session: StoreSession): StoreSession {
    const call = <T>(operation: string, carries: string, run: () => Observable<T>): Observable<T> =>
      defer(() => {
        this.#notice(carries);
        if (this.#passes === 'everything') return run();
        if (this.#passes === 'requests') run().subscribe({ error: () => undefined });
        return this.#unanswered(operation);
      });
    const follow = <T>(operation: string, run: () => Observable<T>): Observable<T> =>
      this.#isWhole.pipe(
        switchMap((whole) => (whole ? run() : this.#unanswered(operation))),
        filter(() => this.#passes === 'everything' || this.#passes === 'news'),
      );
    return {
      ...session,
      link$: this.#isWhole.pipe(switchMap((whole) => (whole ? session.link$ : of(false)))),
      renew: () => call('renew', '', () => session.renew()),
      enter: (roster, request) => call('enter', text(request.payload), () => session.enter(roster, request)),
      place: (roster, request, standing) => follow('follow a place', () => session.place(roster, request, standing)),
      update: (roster, request, payload) =>
        call('update', text(payload), () => session.update(roster, request, payload)),
      leave: (roster, request, inDoubt) => call('leave', '', () => session.leave(roster, request, inDoubt)),
      entries: (roster) => follow('follow entries', () => session.entries(roster)),
      look: (roster) => call('look', '', () => session.look(roster)),
      evict: (roster, entryId, writeId) => call('evict', entryId, () => session.evict(roster, entryId, writeId)),
      register: (roster, writeId) => call('create', roster.name, () => session.register(roster, writeId)),
      unregister: (roster, writeId) => call('delete', roster.name, () => session.unregister(roster, writeId)),
      registered: (kind) => follow('follow registrations', () => session.registered(kind)),
      cell: (key) => follow('follow a cell', () => session.cell(key)),
      swap: (key, expected, value, writeId) =>
        call('write a cell', text(value ?? new Uint8Array()), () => session.swap(key, expected, value, writeId)),
      end: (isLost) => call('end', '', () => session.end(isLost)),
    };
  }

  #notice(carries: string): void {
    if (this.#trap === undefined || !carries.includes(this.#trap.marker)) return;
    this.mute();
    this.#trap.sprung();
    this.#trap = undefined;
  }

  #unanswered(operation: string): Observable<never> {
    return throwError(() => new Unavailable(this.store.adapter().name, operation, new Error('the link is broken')));
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
