import type { Backend, BackendOptions, Characteristics } from 'conclave';
import type { StrandedConnection } from 'conclave/testing/servers';
import type { PeerCalls } from './peer-calls.js';

/** Makes a backend of a URL. */
export type Connect = (url: string, options: BackendOptions) => Backend;

/** Makes a backend on the store that all cases share; each case gives a namespace of its own. */
export type MakeBackend = (options: BackendOptions) => Backend;

/** In what a backend differs from the others: all that the suite knows of it. */
export interface Quirks {
  /** Names the backend in the report. */
  readonly name: string;
  /** Where another process finds the store. */
  readonly url: string;
  /**
   * The module that other processes import for its export `connect(url, options)`, which makes a backend. Default:
   * conclave's own `connect`.
   */
  readonly module?: URL;
  /** Lifetime of the sessions: as short as the store and a noisy machine allow. Every limit derives from it. */
  readonly ttlMs: number;
  /** What the backend must declare of itself, word for word. */
  readonly declares: Omit<Characteristics, 'caveats'>;
  /** Whether the store measures how long a session lives by itself, rather than by the scheduler of its client. */
  readonly hasOwnClock: boolean;
  /** A way to the shared store that can be broken. */
  startLink(): Promise<Link>;
  /** A backend that knows a password, here `secret`, and whose store does not answer. */
  unreachable(options: BackendOptions): Promise<{ readonly backend: Backend; readonly secret: string }>;
  /** A store of one's own that can be stopped. */
  startServer(): Promise<OwnServer>;
  /**
   * A store of several servers, of which another takes over when the one that serves fails. A store that is distributed
   * and declares `consistentFailover` must bring it, since nothing else shows that it is so.
   */
  startReplicated?(): Promise<ReplicatedServer>;
  /** Another client of the shared store that can crash: a process, or for a store within this one a backend. */
  startPeer(options: BackendOptions): Promise<Peer>;
}

/** A way to the store. */
export interface Link extends AsyncDisposable {
  /** A backend that reaches the store through this link only. */
  connect(options: BackendOptions): Backend;
  /** Nothing passes any more, and nobody is told. */
  cut(): void;
  /** Requests pass, replies do not, and nobody is told. */
  mute(): void;
  /** Requests do not pass; what the store says does, and nobody is told. */
  silence(): void;
  /** From now on what the store says takes so much longer. */
  delayReplies(ms: number): void;
  /** Mutes the link when a request passes that carries `marker` in a payload, a value or a name; resolves then. */
  muteAfter(marker: string): Promise<void>;
  /**
   * Holds a request back that carries `marker` in a payload, a value or a name, and breaks its connection for its client,
   * who may make another at once. Resolves then: the request is on its way until it is let arrive.
   */
  strandAfter(marker: string): Promise<StrandedConnection>;
  /** Lets everything pass again. What was held back arrives late where the transport would have it so. */
  heal(): Promise<void>;
  /** Breaks the connections, which loses what was held back, and lets everything pass again. */
  reset(): Promise<void>;
  /** How many bytes have come back through it, or for how much what came may be counted. */
  received(): number;
  /** How many connections lead through it. */
  connections(): number;
}

/** A store that only one case uses. */
export interface OwnServer extends AsyncDisposable {
  connect(options: BackendOptions): Backend;
  /** Ends it without a warning to its clients. */
  stop(): Promise<void>;
  start(options?: { readonly keepData: boolean }): Promise<void>;
  /** Ends a backend's session on the store, as an administrator would. */
  expire(backend: Backend): Promise<void>;
  /**
   * Makes the store refuse whatever is written, for a reason that lasts, over connections that stay. Resolves with how to
   * end that. Left out where the store has no such reason: the report names it as not shown.
   */
  refuse?(): Promise<() => Promise<void>>;
}

/** A store of several servers that only one case uses. */
export interface ReplicatedServer extends AsyncDisposable {
  connect(options: BackendOptions): Backend;
  /** From now on the one that serves reaches no other server; its clients still reach it. */
  isolate(): Promise<void>;
  /** Ends the one that serves, for good; resolves when another does. */
  failOver(): Promise<void>;
}

export interface Peer extends AsyncDisposable {
  request<K extends keyof PeerCalls & string>(
    call: K,
    ...args: Parameters<PeerCalls[K]>
  ): Promise<Awaited<ReturnType<PeerCalls[K]>>>;
  /** Ends it so that it cannot say goodbye. */
  kill(): Promise<void>;
}
