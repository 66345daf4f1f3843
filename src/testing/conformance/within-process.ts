import type { Backend } from 'conclave';
import type { Store } from 'conclave/backend';
import { filter, firstValueFrom, map, type Observable } from 'rxjs';
import { LocalLink } from './local-link.js';
import { type PeerCalls, peerCalls } from './peer-calls.js';
import type { OwnServer, Peer, Quirks, ReplicatedServer } from './quirks.js';

/** A store in this process, to which any number of backends connect. */
export interface LocalStore {
  adapter(namespace?: string): Store;
  /** It is gone, as a server would be: no session expires meanwhile. Its clients' links are cut by whoever calls it. */
  stop(): void;
  /** It is there again: with its data each session has its whole lifetime before it, without it has ended. */
  start(options: { readonly keepData: boolean }): void;
  /** Ends a session as an administrator would: its owner is told. */
  expire(sessionId: string): void;
  /** Refuses all writes, for a reason that lasts, until called without one. Where there is no such reason: left out. */
  refuse?(reason: string | undefined): void;
}

/** A store in this process of which another takes the place when it fails. */
export interface LocalReplicatedStore extends LocalStore {
  /** From now on nothing reaches the other one. */
  isolate(): void;
  failOver(): void;
}

/** What `withinProcess` needs to know. */
export interface WithinProcess extends Pick<Quirks, 'name' | 'url' | 'module' | 'ttlMs' | 'declares' | 'hasOwnClock'> {
  /** The one that the cases share. */
  readonly store: LocalStore;
  /** Makes an empty one. */
  newStore(): LocalStore;
  /** Makes one that is replicated. Where there is only the one, what is left of a fail-over is its restart. */
  readonly newReplicated?: () => LocalReplicatedStore;
  /** Stands between the store's adapter and the kernel: how the suite itself is tried. */
  readonly altered?: (adapter: Store) => Store;
}

/** The quirks of a store in this process: what is a process or a wire elsewhere is a backend behind a link here. */
export function withinProcess({ store, newStore, newReplicated, altered, ...quirks }: WithinProcess): Quirks {
  return {
    ...quirks,
    startLink: async () => new LocalLink(store, altered),
    // A store in this process has no password, so there is none that could be told.
    unreachable: async (options) => {
      const link = new LocalLink(store, altered);
      link.cut();
      return { backend: link.connect(options), secret: 'not-to-be-told' };
    },
    startServer: async (): Promise<OwnServer> => {
      const own = newStore();
      const link = new LocalLink(own, altered);
      const { refuse } = own;
      return {
        connect: (options) => link.connect(options),
        stop: async () => {
          link.cut();
          own.stop();
        },
        start: async (options = { keepData: true }) => {
          own.start(options);
          await link.heal();
        },
        expire: async (backend) => own.expire(await sessionIdOf(backend)),
        ...(refuse && {
          refuse: async () => {
            refuse.call(own, 'it is full');
            return async () => refuse.call(own, undefined);
          },
        }),
        [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
      };
    },
    startReplicated: async (): Promise<ReplicatedServer> => {
      const own = newReplicated?.() ?? alone(newStore());
      const link = new LocalLink(own, altered);
      return {
        connect: (options) => link.connect(options),
        isolate: async () => own.isolate(),
        failOver: async () => {
          link.cut();
          own.failOver();
          await link.heal();
        },
        [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
      };
    },
    startPeer: async (options): Promise<Peer> => {
      const link = new LocalLink(store, altered);
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

function alone(store: LocalStore): Pick<LocalReplicatedStore, 'adapter' | 'isolate' | 'failOver'> {
  return {
    adapter: (namespace) => store.adapter(namespace),
    isolate: () => undefined,
    failOver: () => {
      store.stop();
      store.start({ keepData: true });
    },
  };
}

/** Of the session that is open, or is being opened. */
export function sessionIdOf({ session$ }: Pick<Backend, 'session$'>): Promise<string> {
  const id$: Observable<string> = session$.pipe(
    filter((session) => session.state === 'live' || session.state === 'suspended'),
    map(({ id }) => id),
  );
  return firstValueFrom(id$);
}

async function performed<K extends keyof PeerCalls>(
  calls: PeerCalls,
  call: K,
  args: Parameters<PeerCalls[K]>,
): Promise<Awaited<ReturnType<PeerCalls[K]>>> {
  const perform = calls[call] as (...given: Parameters<PeerCalls[K]>) => ReturnType<PeerCalls[K]>;
  return await perform(...args);
}
