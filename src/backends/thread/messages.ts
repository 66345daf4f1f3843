import type { Entry, RosterKey, Versioned } from '../backend.js';
import type { Timing } from '../shared/options.js';
import type { Standing, StandRequest, StoreSession } from '../store.js';
import type { SentError } from './sent-error.js';

/** The adapters whose sessions can live in a thread. */
export type ThreadedAdapter = 'redis' | 'etcd' | 'zookeeper';

/** What the thread is started with. */
export interface ThreadData {
  readonly adapter: ThreadedAdapter;
  /** Without those that stay here. */
  readonly options: object;
  readonly maxStallMs: number;
  /** The main thread's heartbeat. */
  readonly pulse: SharedArrayBuffer;
}

/** What is asked of a session; all else of it is told unasked. */
export type Method = Exclude<
  keyof StoreSession,
  'id' | 'ttlMs' | 'provedMs' | 'link$' | 'barredMs$' | 'proof' | 'renew'
>;

/** A request without what cannot be handed over. */
export type SentRequest = Omit<StandRequest, 'sent'>;

/** To the thread. A `call` has an id, under which all that it gives comes back. */
export type ToThread =
  | {
      readonly kind: 'open';
      readonly call: number;
      readonly shard: number;
      readonly timing: Timing;
      readonly proof: SharedArrayBuffer;
    }
  | {
      readonly kind: 'ask';
      readonly call: number;
      /** The call that has opened it. */
      readonly session: number;
      readonly method: Method;
      readonly args: readonly unknown[];
    }
  /** Unsubscribed. `unsent`: who did so knows of nothing that was sent, and will not take it out. */
  | {
      readonly kind: 'cancel';
      readonly call: number;
      readonly unsent?: { readonly session: number; readonly entry: Withdrawn };
    }
  /** No session is opened any more. */
  | { readonly kind: 'release' };

export interface Withdrawn {
  readonly roster: RosterKey;
  readonly id: string;
}

/** From the thread. */
export type FromThread =
  | { readonly kind: 'ready'; readonly addresses: readonly string[] }
  | { readonly kind: 'refused'; readonly error: SentError }
  /** A request about the entry that the call is about goes out. */
  | { readonly kind: 'sent'; readonly call: number }
  | { readonly kind: 'next'; readonly call: number; readonly value: unknown }
  /** The last value, and the completion. */
  | { readonly kind: 'last'; readonly call: number; readonly value: unknown }
  | { readonly kind: 'complete'; readonly call: number }
  | { readonly kind: 'error'; readonly call: number; readonly error: SentError };

/** What the call that has opened a session gives. */
export type SessionEvent =
  | {
      readonly what: 'opened';
      readonly id: string;
      readonly ttlMs: number;
      /** As it is now; absent where nobody is ever barred. */
      readonly barredMs?: number;
    }
  | { readonly what: 'link'; readonly isUp: boolean }
  | { readonly what: 'barred'; readonly ms: number }
  | { readonly what: 'renewed' }
  | { readonly what: 'suspended'; readonly cause: SentError }
  /** Given up by the thread, or ended by the store. */
  | { readonly what: 'lost'; readonly cause: SentError }
  | { readonly what: 'fault'; readonly fault: SentError };

/** What can be copied of what an adapter gives: what it has added for itself stays with it. */
export function sendable(method: Method, value: unknown): unknown {
  switch (method) {
    case 'enter': {
      const { entry, ahead, barred } = value as Standing;
      return { entry: sentEntry(entry), ahead, ...(barred !== undefined && { barred }) };
    }
    case 'entries':
    case 'look':
      return (value as readonly Entry[]).map(sentEntry);
    case 'cell':
      return value === undefined ? undefined : sentVersioned(value as Versioned);
    case 'swap': {
      const { swapped, current } = value as { swapped: boolean; current: Versioned | undefined };
      return { swapped, current: current && sentVersioned(current) };
    }
    default:
      return value;
  }
}

function sentEntry({ id, token, mode, permits, payload }: Entry): Entry {
  return { id, token, mode, permits, payload: alone(payload) };
}

function sentVersioned({ value, version }: Versioned): Versioned {
  return { version, value: alone(value) };
}

/** With a view, all of the memory would be copied that it is a part of. */
export function alone(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
