import { defer, filter, finalize, map, type Observable, of, tap, throwError } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { createBackend } from '../../backends/create-backend.js';
import { Unavailable } from '../../backends/errors.js';
import { memoryCharacteristics } from '../../backends/memory/characteristics.js';
import { MemoryStore } from '../../backends/memory/memory-store.js';
import type { BackendOptions } from '../../backends/options.js';
import type { StoreContext, StoreSession } from '../../backends/store.js';
import { type PeerCalls, peerCalls } from './peer-calls.js';
import type { Link, OwnServer, Peer, Quirks } from './quirks.js';

interface WithinProcess extends Pick<Quirks, 'name' | 'url' | 'ttlMs' | 'declares'> {
  readonly store: MemoryStore;
}

/** The quirks of a store in this process: what is a process or a wire elsewhere is a backend behind a link here. */
export function withinProcess({ store, ...quirks }: WithinProcess): Quirks {
  return {
    ...quirks,
    startLink: async () => new MemoryLink(store),
    startServer: async (): Promise<OwnServer> => {
      const link = new MemoryLink(new MemoryStore());
      return {
        connect: (options) => link.connect(options),
        stop: async () => link.cut(),
        start: async ({ keepData } = { keepData: true }) => {
          if (!keepData) link.store = new MemoryStore();
          await link.heal();
        },
        [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
      };
    },
    startPeer: async (options): Promise<Peer> => {
      const link = new MemoryLink(store);
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

/** Between a memory store and its backends: what a wire does to requests and replies is done to calls and results. */
class MemoryLink implements Link {
  #passes: 'everything' | 'requests' | 'news' | 'nothing' = 'everything';
  #connections = 0;
  readonly #sessions = new Set<string>();
  #trap: { readonly marker: string; sprung(): void } | undefined;

  constructor(public store: MemoryStore) {}

  connect(options: BackendOptions): Backend {
    const store = {
      ...this.store.adapter(options.namespace),
      open: (context: StoreContext) => {
        const opened = defer(() => this.store.adapter(options.namespace).open(context)).pipe(
          tap(({ id }) => {
            this.#sessions.add(id);
            this.#connections++;
          }),
          map((session) => this.#through(session)),
          finalize(() => this.#connections--),
        );
        return defer(() => (this.#passes === 'everything' ? opened : this.#unanswered('open')));
      },
    };
    return createBackend(store.name, memoryCharacteristics, of(store), options);
  }

  cut(): void {
    this.#passes = 'nothing';
    for (const id of this.#sessions) this.store.partition(id);
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
    for (const id of this.#sessions) this.store.heal(id);
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
        if (this.#passes === 'news') return this.#unanswered(operation);
        if (this.#passes !== 'requests') return run();
        run().subscribe({ error: () => undefined });
        return this.#unanswered(operation);
      });
    const follow = <T>(run: () => Observable<T>): Observable<T> =>
      defer(run).pipe(filter(() => this.#passes === 'everything' || this.#passes === 'news'));
    return {
      ...session,
      renew: () => call('renew', '', () => session.renew()),
      enter: (roster, request) => call('enter', text(request.payload), () => session.enter(roster, request)),
      place: (roster, request, standing) => follow(() => session.place(roster, request, standing)),
      update: (roster, request, payload) =>
        call('update', text(payload), () => session.update(roster, request, payload)),
      leave: (roster, request, inDoubt) => call('leave', '', () => session.leave(roster, request, inDoubt)),
      entries: (roster) => follow(() => session.entries(roster)),
      evict: (roster, entryId) => call('evict', entryId, () => session.evict(roster, entryId)),
      register: (roster, writeId) => call('create', roster.name, () => session.register(roster, writeId)),
      unregister: (roster) => call('delete', roster.name, () => session.unregister(roster)),
      registered: (kind) => follow(() => session.registered(kind)),
      cell: (key) => follow(() => session.cell(key)),
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
    return throwError(() => new Unavailable('memory', operation, new Error('the link is broken')));
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
