import type { Redis } from 'ioredis';
import { BehaviorSubject, distinctUntilChanged, Observable, Subject } from 'rxjs';
import { type CoordinationError, NotSupported, type StoreLocation, Unavailable } from '../errors.js';
import { reconnectMs } from '../options.js';
import type { StoreContext } from '../store.js';
import type { Access } from './access.js';
import {
  commandOf,
  failureOf,
  isMoved,
  isRefusal,
  isServedElsewhere,
  isUnanswered,
  isUncached,
  LONE_NODE,
} from './failures.js';
import { guardedClient } from './guarded-client.js';
import type { Layout } from './layout.js';
import { Replicas } from './replicas.js';
import { RENEW, type Script } from './scripts.js';
import { exerciseSentinels, hearOut, hearSentinels } from './sentinels.js';
import { type Server, serverOf } from './server.js';
import { type StrictOptions, strictOptions } from './strict-options.js';

/** What a script is given and what it returns. Text comes back as bytes. */
export type Argument = string | number | Buffer;
export type Reply = readonly unknown[];

/** A connection on which scripts run. */
interface Link {
  readonly client: Redis;
  /** Where it leads to; `undefined` while that is not known. */
  server: Server | undefined;
}

/**
 * The connections of a session, one for commands and one for messages, which are made again when they break; and with
 * `waitReplicas` a third, for the scripts that count only once replicas have what they wrote.
 * `up$` is true while it is known which server the commands go to and the session's channel is subscribed to.
 */
export class Connections {
  readonly up$: Observable<boolean>;
  /** What is received in the session's own channel. */
  readonly messages$: Observable<string>;
  /** Why one of them has just broken. */
  readonly cut$: Observable<Unavailable>;
  readonly #up = new BehaviorSubject(false);
  readonly #messages = new Subject<readonly [channel: string, message: string]>();
  readonly #cut = new Subject<Unavailable>();
  readonly #commands: Link;
  readonly #replicated: (Link & { readonly replicas: Replicas }) | undefined;
  readonly #subscriber: Redis;
  readonly #channels = new Map<string, { users: number; readonly subscribed: Promise<unknown> }>();
  #isListening = false;
  #areReplicasMissed = false;
  #isKept = false;
  #isClosed = false;
  #attempt = 0;
  #requests = 0;
  #lastError: unknown;

  constructor(
    private readonly access: Access,
    private readonly layout: Layout,
    private readonly sessionChannel: string,
    private readonly context: StoreContext,
    /** Told why a connection could not be made, until `keep` is called. */
    private readonly failed: (cause: CoordinationError) => void,
  ) {
    const { isCluster, waitReplicas } = access;
    const connect = (options: StrictOptions): Redis => guardedClient(access.connect(options, layout.slot));
    this.up$ = this.#up.pipe(distinctUntilChanged());
    this.cut$ = this.#cut.asObservable();
    this.messages$ = new Observable((observer) =>
      this.#messages.subscribe(([channel, message]) => {
        if (channel === sessionChannel) observer.next(message);
      }),
    );
    const options = strictOptions(context, () => (this.#isKept ? reconnectMs(context.timing, this.#attempt++) : null));
    const link = (): Link => ({ client: connect(options), server: undefined });
    this.#commands = link();
    if (waitReplicas > 0) {
      const another = link();
      const waitMs = Math.max(1, Math.floor(context.timing.requestTimeoutMs / 4));
      this.#replicated = Object.assign(another, { replicas: new Replicas(another.client, waitReplicas, waitMs) });
    }
    this.#subscriber = connect(options);
    const heard = (channel: string, message: string): void => this.#messages.next([channel, message]);
    this.#subscriber.on(isCluster ? 'smessage' : 'message', heard);
    // The slot has been taken away from that server.
    this.#subscriber.on('moved', () => this.#moved());
    for (const each of this.#links) this.#follow(each.client, 'connect', () => this.#greet(each));
    this.#follow(this.#subscriber, 'listen', () => this.#listen());
  }

  open(): void {
    // What becomes of it is told by events.
    for (const client of this.#clients) client.connect().catch(() => undefined);
  }

  /** From now on, what breaks is made again. */
  keep(): void {
    this.#isKept = true;
  }

  /** Cuts all connections, at once and for good. */
  close(): void {
    this.#isClosed = true;
    for (const link of this.#links) link.server = undefined;
    for (const client of this.#clients) {
      hearOut(client);
      client.disconnect();
    }
    this.#cut.complete();
    this.#messages.complete();
    this.#up.complete();
  }

  get location(): StoreLocation {
    return { name: 'redis', address: this.access.address };
  }

  /** Runs a script. Rejects with what the failure means. */
  async run(operation: string, script: Script, args: (server: Server) => Argument[]): Promise<Reply> {
    const replicated = script.isReliedOn ? this.#replicated : undefined;
    const link = replicated ?? this.#commands;
    const { client, server } = link;
    if (server === undefined)
      throw new Unavailable(this.location, operation, this.#lastError ?? new Error('there is no connection'));
    if (script === RENEW) this.#exercise(link);
    try {
      const request = String(++this.#requests);
      const reply = await this.#evaluate(client, script, [
        this.layout.keys.length,
        ...this.layout.keys,
        request,
        ...args(server),
      ]);
      if (Array.isArray(reply) && String(reply[0]) === request) {
        // Not before: what cannot be renewed can be connected to, and read from, and then again and again.
        if (script === RENEW) this.#attempt = 0;
        // What was not done need not last.
        if (String(reply[2]) === 'ok') await this.#untilReplicated(operation, replicated?.replicas);
        return reply.slice(1);
      }
      // A reply to another request: on this connection none can be relied upon any more.
      this.#remake(client);
      throw new Error(`the reply to request ${request} was not the one that came`);
    } catch (cause) {
      // Nobody notices a half-open connection; one on which a command went unanswered may be one.
      if (isUnanswered(cause) && link.server === server) this.#remake(client);
      if (isServedElsewhere(cause) && link.server === server) this.#moved();
      if (isMoved(cause) && !this.access.isCluster) throw new NotSupported('redis', LONE_NODE);
      const failure = this.failureOf(cause, operation, script);
      // It is tried again, and again in vain if the reason is not a passing one: somebody should know.
      if (isRefusal(cause) && failure instanceof Unavailable) this.context.fault(failure);
      throw failure;
    }
  }

  /** Emits once the channel is subscribed to, and at each message in it. Errors when the connection breaks. */
  channel(name: string): Observable<void> {
    return new Observable((observer) => {
      const channel = this.#channels.get(name) ?? { users: 0, subscribed: this.#subscribe(name) };
      this.#channels.set(name, channel);
      channel.users += 1;
      channel.subscribed.then(
        () => observer.next(),
        (cause) => this.#failSubscription(cause, (error) => observer.error(error)),
      );
      observer.add(this.#cut.subscribe((cause) => observer.error(cause)));
      observer.add(
        this.#messages.subscribe(([from]) => {
          if (from === name) observer.next();
        }),
      );
      return () => {
        channel.users -= 1;
        if (channel.users > 0 || this.#channels.get(name) !== channel) return;
        this.#channels.delete(name);
        // If it fails, the connection has broken, and with it the subscription is gone.
        if (this.#isListening) this.#unsubscribe(name).catch(() => undefined);
      };
    });
  }

  /** What it means, told in the words of these connections. */
  failureOf(cause: unknown, operation: string, script?: Script): CoordinationError {
    const { address, user, commands } = this.access;
    const names = `${/^\{[^}]*:/.exec(this.layout.keys[0])?.[0]}*`;
    const lua = script && this.#source(script).lua;
    return failureOf(cause, { operation, address, user, rights: `~${names} &${names} ${commands}`, lua });
  }

  /** Makes the connection for messages again, because they do not seem to arrive. */
  distrustMessages(): void {
    this.#remake(this.#subscriber);
  }

  get #links(): readonly Link[] {
    return this.#replicated === undefined ? [this.#commands] : [this.#commands, this.#replicated];
  }

  get #clients(): readonly Redis[] {
    return [...this.#links.map(({ client }) => client), this.#subscriber];
  }

  #follow(client: Redis, operation: string, ready: () => Promise<void>): void {
    client.on('error', (cause: unknown) => {
      hearOut(client);
      this.#lastError = cause;
      // The wrong database would be used without a word.
      const failure = this.failureOf(cause, operation);
      if (commandOf(cause) === 'SELECT') this.#giveUp(client, failure);
      else if (this.#isKept && !(failure instanceof Unavailable)) this.context.fault(failure);
    });
    client.on('connect', () => hearSentinels(client));
    client.on('ready', () => {
      ready().then(
        () => this.#tellUp(),
        (cause) => this.#giveUp(client, this.failureOf(cause, operation)),
      );
    });
    client.on('close', () => this.#broken(client));
    client.on('end', () => {
      if (!this.#isKept && !this.#isClosed) this.failed(this.failureOf(this.#lastError, operation));
    });
  }

  async #greet(link: Link): Promise<void> {
    const server = serverOf(await link.client.info(), this.context);
    if (server.isTooOld) throw new NotSupported('redis', `version ${server.version}: it must be 6.2 or later`);
    if (this.access.isCluster && server.isTooOldForClusters)
      throw new NotSupported('redis', `a cluster of version ${server.version}: it must be 7.0 or later`);
    // One that is to be promoted tells nothing yet of what it will be then.
    if (server.isReplica) throw new Error(`READONLY: the server at ${this.access.address} is a replica`);
    if (server.isLoading) throw new Error('LOADING: the server is still reading its data');
    // It may have broken again while the server answered.
    if (link.client.status !== 'ready' || this.#isClosed) return;
    link.server = server;
    // During a fail-over it may lead to another master than before: what is done at two is done at neither.
    for (const each of this.#links)
      if (each.server !== undefined && each.server.runId !== server.runId) this.#remake(each.client);
  }

  async #listen(): Promise<void> {
    await this.#subscribe(this.sessionChannel);
    this.#isListening = this.#subscriber.status === 'ready' && !this.#isClosed;
  }

  #broken(client: Redis): void {
    const link = this.#links.find((each) => each.client === client);
    if (link === undefined) this.#isListening = false;
    else link.server = undefined;
    this.#tellUp();
    // Channels are not subscribed to again by themselves: whoever was listening has to read again anyway.
    if (client === this.#subscriber) this.#channels.clear();
    this.#cut.next(
      new Unavailable(
        this.location,
        'keep the connection',
        this.#lastError ?? new Error('it was closed at the other end'),
      ),
    );
  }

  /** Nothing more is expected of this connection. */
  #remake(client: Redis): void {
    this.#broken(client);
    hearOut(client);
    client.disconnect(true);
  }

  #giveUp(client: Redis, cause: CoordinationError): void {
    if (this.#isClosed) return;
    this.#lastError = cause;
    if (!this.#isKept) {
      this.failed(cause);
      return;
    }
    if (!(cause instanceof Unavailable)) this.context.fault(cause);
    this.#remake(client);
  }

  /** Another server is the one that serves: each connection finds it when it is made again. */
  #moved(): void {
    for (const client of this.#clients) if (client.status === 'ready') this.#remake(client);
  }

  /** What is in between drops a connection that carries nothing, without a sign: only what is asked there tells. */
  #exercise(renewing: Link): void {
    for (const client of this.#clients) exerciseSentinels(client);
    for (const link of this.#links) {
      const { client, server } = link;
      if (link === renewing || server === undefined) continue;
      client.time().catch((cause) => {
        // Whatever else it was, the connection has answered, or its end is told by an event.
        if (isUnanswered(cause) && link.server === server) this.#remake(client);
      });
    }
  }

  #subscribe(channel: string): Promise<unknown> {
    return this.access.isCluster ? this.#subscriber.ssubscribe(channel) : this.#subscriber.subscribe(channel);
  }

  #unsubscribe(channel: string): Promise<unknown> {
    return this.access.isCluster ? this.#subscriber.sunsubscribe(channel) : this.#subscriber.unsubscribe(channel);
  }

  #failSubscription(cause: unknown, tell: (error: CoordinationError) => void): void {
    if (isUnanswered(cause)) this.distrustMessages();
    if (isServedElsewhere(cause)) this.#moved();
    tell(this.failureOf(cause, 'subscribe'));
  }

  #tellUp(): void {
    const up = this.#links.every(({ server }) => server !== undefined) && this.#isListening;
    this.#up.next(up);
  }

  #source(script: Script): Script['plain'] {
    return this.access.isCluster ? script.sharded : script.plain;
  }

  async #evaluate(client: Redis, script: Script, args: Argument[]): Promise<unknown> {
    const { sha, lua } = this.#source(script);
    try {
      return await client.callBuffer('EVALSHA', sha, ...args);
    } catch (cause) {
      if (!isUncached(cause)) throw cause;
      return await client.callBuffer('EVAL', lua, ...args);
    }
  }

  async #untilReplicated(operation: string, replicas: Replicas | undefined): Promise<void> {
    if (replicas === undefined) return;
    const count = await replicas.acknowledged();
    if (count >= this.access.waitReplicas) {
      this.#areReplicasMissed = false;
      return;
    }
    const missed = new Error(`${count} of ${this.access.waitReplicas} replicas have acknowledged it`);
    const failure = new Unavailable(this.location, operation, missed);
    // Told once, however often it is tried again.
    if (!this.#areReplicasMissed) this.context.fault(failure);
    this.#areReplicasMissed = true;
    throw failure;
  }
}
