import { Observable } from 'rxjs';
import type { Timing } from '../shared/options.js';
import type { Address } from './addresses.js';

/** What a command is made of, and what a script returns. Text comes back as bytes. */
export type Argument = string | number | Buffer;
export type Reply = readonly unknown[];

/** One connection to one server, over whichever client. It is made once: when it has ended, another one is made. */
export interface Wire {
  /** Sends a command. Rejects with the server's refusal, with `Unanswered`, or with why the connection has ended. */
  call(...command: readonly Argument[]): Promise<unknown>;
  /** Likewise, for what is asked often: one of both is called, once, and never before this has returned. */
  ask(command: readonly Argument[], answered: (reply: unknown) => void, failed: (cause: unknown) => void): void;
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
}

/** What a connection is to be like. */
export interface WireOptions {
  /** `requestTimeoutMs`: how long the server may take to accept it, then to greet, then to answer each command. */
  readonly timing: Timing;
  /** Whether the channels are those of one slot of a cluster. */
  readonly isSharded: boolean;
  /** Told of each message in a channel that is subscribed to. */
  readonly heard?: (channel: string, message: string) => void;
}

/** Emits a connection once it can be used; errors when it could not be made, or has ended. Unsubscribing ends it. */
export type Dial = (options: WireOptions, to?: Address) => Observable<Wire>;

/** What a connection needs of a client. */
export interface Client {
  send(command: readonly Argument[]): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  /** Ends it, once what was sent is written. Called once, and also if it has ended by itself. */
  close(): void;
}

/** What a client tells of its connection. */
export interface ClientEvents {
  /** The server has accepted it. */
  connected(): void;
  /** Commands can be sent. */
  ready(): void;
  /** It has ended, or can be relied on no longer. */
  ended(cause: unknown): void;
}

/** How long a connection that is being closed waits for the other side. */
export const CLOSING_MS = 50;

/** The server has not answered in time: its connection may be dead without anybody noticing. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';
  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms`);
  }
}

/** The server's own no to a command. Clients have classes of their own for it. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError';
  readonly command: { readonly name: string };
  constructor(
    message: string,
    /** Without its arguments, among which may be a password or a payload. */
    name: string,
  ) {
    super(message);
    this.command = { name };
  }
}

/** What was looked for at the server is another's now. */
export class MovedAway extends ReplyError {
  constructor(because: string) {
    super(`MOVED: ${because}`, '');
  }
}

/** A server of a cluster ends a subscription by itself when it gives the channel's slot away. */
export function unsubscribed(): MovedAway {
  return new MovedAway('the server has ended a subscription by itself');
}

/** A connection over a client that `start` makes, which reports what becomes of it. */
export function wireOver({ timing }: WireOptions, start: (events: ClientEvents) => Client): Observable<Wire> {
  return new Observable((observer) => {
    const timeoutMs = timing.requestTimeoutMs;
    const waiting = new Set<(cause: unknown) => void>();
    let greeting: ReturnType<typeof setTimeout> | undefined;
    let end: { readonly cause: unknown } | undefined;
    const ended = (cause: unknown): void => {
      if (end !== undefined) return;
      end = { cause };
      clearTimeout(greeting);
      const all = [...waiting];
      // That the connection has ended is told first.
      queueMicrotask(() => {
        for (const fail of all) fail(cause);
      });
      observer.error(cause);
    };
    const ask = (
      send: () => Promise<unknown>,
      answered: (reply: unknown) => void,
      failed: (cause: unknown) => void,
    ): void => {
      if (end !== undefined) {
        const { cause } = end;
        queueMicrotask(() => failed(cause));
        return;
      }
      /** Whether it was still waited for. */
      const settle = (): boolean => {
        clearTimeout(patience);
        return waiting.delete(fail);
      };
      const fail = (cause: unknown): void => {
        if (settle()) failed(cause);
      };
      const patience = setTimeout(() => fail(new Unanswered(timeoutMs)), timeoutMs);
      waiting.add(fail);
      send().then((reply) => {
        if (settle()) answered(reply);
      }, fail);
    };
    const call = (send: () => Promise<unknown>): Promise<unknown> =>
      new Promise((resolve, reject) => ask(send, resolve, reject));
    const client = start({
      connected: () => {
        // Not every client limits how long the server takes to let it in.
        if (end === undefined) greeting = setTimeout(() => ended(new Unanswered(timeoutMs)), timeoutMs);
      },
      ready: () => {
        clearTimeout(greeting);
        if (end !== undefined) return;
        observer.next({
          ask: (command, answered, failed) => ask(() => client.send(command), answered, failed),
          call: (...command) => call(() => client.send(command)),
          subscribe: (channel) => call(() => client.subscribe(channel)),
          unsubscribe: (channel) => call(() => client.unsubscribe(channel)),
        });
      },
      ended,
    });
    return () => {
      ended(new Error('the connection was closed'));
      client.close();
    };
  });
}
