import { BehaviorSubject, distinctUntilChanged, Observable, Subject, Subscription, timer } from 'rxjs';
import { type CoordinationError, NotSupported, type StoreLocation, Unavailable } from '../errors.js';
import { reconnectMs } from '../shared/options.js';
import type { StoreContext } from '../store.js';
import type { Access } from './access.js';
import { failureOf, isMoved, isRefusal, isServedElsewhere, isUnanswered, isUncached, LONE_NODE } from './failures.js';
import type { Layout } from './layout.js';
import { Replicas } from './replicas.js';
import { text } from './replies.js';
import { RENEW, type Script } from './scripts.js';
import { type Server, serverOf } from './server.js';
import { type Argument, MovedAway, type Reply, type Wire, type WireOptions } from './wire.js';

export type { Argument, Reply } from './wire.js';

/** What a script has answered. */
export interface Answer {
  /** The shard's time, and the name and number of its data. */
  readonly state: unknown;
  readonly told: Reply;
}

/** Writes what a script is told behind what every script is. */
export type Write = (server: Server, command: Argument[]) => void;

/** One of the connections, which is made again when it breaks. */
interface Link {
  readonly operation: string;
  /** What makes a connection one that can be used. */
  readonly greet: (wire: Wire) => Promise<void>;
  wire: Wire | undefined;
  /** The connection, or the pause before the next. */
  running: Subscription;
}

/** A connection on which scripts run. */
interface CommandLink extends Link {
  /** Where it leads to; `undefined` while that is not known. */
  server: Server | undefined;
  /** For the scripts that count only once replicas have what they wrote. */
  replicas: Replicas | undefined;
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
  readonly #commands: CommandLink;
  readonly #replicated: CommandLink | undefined;
  readonly #subscriber: Link;
  /** The scripts that are on their way with their text. */
  readonly #sending = new Map<string, Promise<unknown>>();
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
    this.up$ = this.#up.pipe(distinctUntilChanged());
    this.cut$ = this.#cut.asObservable();
    this.messages$ = new Observable((observer) =>
      this.#messages.subscribe(([channel, message]) => {
        if (channel === sessionChannel) observer.next(message);
      }),
    );
    this.#commands = this.#commandLink();
    if (access.waitReplicas > 0) this.#replicated = this.#commandLink();
    this.#subscriber = {
      operation: 'listen',
      greet: () => this.#listen(),
      wire: undefined,
      running: Subscription.EMPTY,
    };
  }

  open(): void {
    for (const link of this.#all) this.#connect(link);
  }

  /** From now on, what breaks is made again. */
  keep(): void {
    this.#isKept = true;
  }

  /** Cuts all connections, at once and for good. */
  close(): void {
    this.#isClosed = true;
    for (const link of this.#all) this.#drop(link);
    this.#cut.complete();
    this.#messages.complete();
    this.#up.complete();
  }

  /** What is relied on counts only once replicas have it. */
  get isReplicated(): boolean {
    return this.#replicated !== undefined;
  }

  get location(): StoreLocation {
    return { name: 'redis', address: this.access.address };
  }

  /** Runs a script. Rejects with what the failure means. */
  run(operation: string, script: Script, write: Write): Promise<Answer> {
    return new Promise((resolve, reject) => this.ask(operation, script, write, resolve, reject));
  }

  /** Likewise, for what is asked often: one of both is called, once, and never before this has returned. */
  ask(
    operation: string,
    script: Script,
    write: Write,
    answered: (answer: Answer) => void,
    failed: (failure: CoordinationError) => void,
  ): void {
    const replicated = script.isReliedOn ? this.#replicated : undefined;
    const link = replicated ?? this.#commands;
    const { wire, server } = link;
    if (wire === undefined || server === undefined) {
      const cause = this.#lastError ?? new Error('there is no connection');
      queueMicrotask(() => failed(new Unavailable(this.location, operation, cause)));
      return;
    }
    if (script === RENEW) this.#exercise(link);
    const request = String(++this.#requests);
    const { keys } = this.layout;
    const command: Argument[] = ['EVALSHA', this.#source(script).sha, keys.length, ...keys, request];
    write(server, command);
    const fail = (cause: unknown): void => failed(this.#failed(cause, link, wire, operation, script));
    const answer = (reply: unknown): void => {
      const [of, state, told] = Array.isArray(reply) ? reply : [];
      if (String(of) !== request || !Array.isArray(told)) {
        // A reply to another request: on this connection none can be relied upon any more.
        const wrong = new Error(`the reply to request ${request} was not the one that came`);
        if (link.wire === wire) this.#remake(link, wrong);
        fail(wrong);
        return;
      }
      // Not before: what cannot be renewed can be connected to, and read from, and then again and again.
      if (script === RENEW) this.#attempt = 0;
      // What was not done need not last.
      if (link.replicas === undefined || String(told[0]) !== 'ok') answered({ state, told });
      else this.#untilReplicated(operation, link.replicas).then(() => answered({ state, told }), fail);
    };
    wire.ask(command, answer, (cause) => {
      if (isUncached(cause)) this.#askWithText(wire, script, command).then(answer, fail);
      else fail(cause);
    });
  }

  /** What it means; and what it means for the connections. */
  #failed(cause: unknown, link: CommandLink, wire: Wire, operation: string, script: Script): CoordinationError {
    if (isMoved(cause) && !this.access.isCluster) return new NotSupported('redis', LONE_NODE);
    // Nobody notices a half-open connection; one on which a command went unanswered may be one.
    if (isUnanswered(cause) && link.wire === wire) this.#remake(link, cause);
    if (isServedElsewhere(cause) && link.wire === wire) this.#moved(cause);
    const failure = this.failureOf(cause, operation, script);
    // It is tried again, and again in vain if the reason is not a passing one: somebody should know.
    if (isRefusal(cause) && failure instanceof Unavailable) this.context.fault(failure);
    return failure;
  }

  /** Emits once the channel is subscribed to, and each message in it. Errors when the connection breaks. */
  channel(name: string): Observable<string | undefined> {
    return new Observable((observer) => {
      const channel = this.#channels.get(name) ?? { users: 0, subscribed: this.#subscribe(name) };
      this.#channels.set(name, channel);
      channel.users += 1;
      channel.subscribed.then(
        () => observer.next(undefined),
        (cause) => this.#failSubscription(cause, (error) => observer.error(error)),
      );
      observer.add(this.#cut.subscribe((cause) => observer.error(cause)));
      observer.add(
        this.#messages.subscribe(([from, message]) => {
          if (from === name) observer.next(message);
        }),
      );
      return () => {
        channel.users -= 1;
        if (channel.users > 0 || this.#channels.get(name) !== channel) return;
        this.#channels.delete(name);
        // If it fails, the connection has broken, and with it the subscription is gone.
        if (this.#isListening) this.#subscriber.wire?.unsubscribe(name).catch(() => undefined);
      };
    });
  }

  /** What it means, told in the words of these connections. */
  failureOf(cause: unknown, operation: string, script?: Script): CoordinationError {
    const { address, user, commands } = this.access;
    const names = `${/^.*\{[^}]*:/s.exec(this.layout.keys[0])?.[0]}*`;
    const lua = script && this.#source(script).lua;
    return failureOf(cause, { operation, address, user, rights: `~${names} &${names} ${commands}`, lua });
  }

  /** Makes the connection for messages again, because they do not seem to arrive. */
  distrustMessages(): void {
    this.#remake(this.#subscriber, new Error('messages do not arrive'));
  }

  get #links(): readonly CommandLink[] {
    return this.#replicated === undefined ? [this.#commands] : [this.#commands, this.#replicated];
  }

  get #all(): readonly Link[] {
    return [...this.#links, this.#subscriber];
  }

  #commandLink(): CommandLink {
    const link: CommandLink = {
      operation: 'connect',
      greet: (wire) => this.#greet(link, wire),
      ...{ wire: undefined, running: Subscription.EMPTY, server: undefined, replicas: undefined },
    };
    return link;
  }

  #connect(link: Link): void {
    const { timing } = this.context;
    const options: WireOptions = {
      timing,
      isSharded: this.access.isCluster,
      heard: (channel, message) => this.#messages.next([channel, message]),
    };
    link.running = new Subscription();
    link.running.add(
      this.access.dial(options, this.layout.slot).subscribe({
        next: (wire) => {
          link.wire = wire;
          link.greet(wire).then(
            () => this.#tellUp(),
            (cause) => {
              if (link.wire === wire) this.#remake(link, cause);
            },
          );
        },
        error: (cause) => this.#remake(link, cause),
      }),
    );
  }

  async #greet(link: CommandLink, wire: Wire): Promise<void> {
    const server = serverOf(text(await wire.call('INFO')), this.context);
    if (server.isTooOld) throw new NotSupported('redis', `version ${server.version}: it must be 6.2 or later`);
    if (this.access.isCluster && server.isTooOldForClusters)
      throw new NotSupported('redis', `a cluster of version ${server.version}: it must be 7.0 or later`);
    // One that is to be promoted tells nothing yet of what it will be then.
    if (server.isReplica) throw new Error(`READONLY: the server at ${this.access.address} is a replica`);
    if (server.isLoading) throw new Error('LOADING: the server is still reading its data');
    // It may have broken again while the server answered.
    if (link.wire !== wire) return;
    link.server = server;
    if (link === this.#replicated) {
      const waitMs = Math.max(1, Math.floor(this.context.timing.requestTimeoutMs / 4));
      link.replicas = new Replicas(wire, this.access.waitReplicas, waitMs);
    }
    // During a fail-over it may lead to another master than before: what is done at two is done at neither.
    for (const each of this.#links)
      if (each.server !== undefined && each.server.runId !== server.runId)
        this.#remake(each, new Error('another server has taken over'));
  }

  async #listen(): Promise<void> {
    const { wire } = this.#subscriber;
    await this.#subscribe(this.sessionChannel);
    this.#isListening = this.#subscriber.wire === wire;
  }

  /** Nothing more is expected of this connection. */
  #remake(link: Link, cause: unknown): void {
    if (this.#isClosed) return;
    this.#lastError = cause;
    const failure = this.failureOf(cause, link.operation);
    this.#drop(link);
    if (!this.#isKept) {
      this.failed(failure);
      return;
    }
    if (!(failure instanceof Unavailable)) this.context.fault(failure);
    link.running = timer(reconnectMs(this.context.timing, this.#attempt++), this.context.scheduler).subscribe(() =>
      this.#connect(link),
    );
    this.#tellUp();
    this.#cut.next(new Unavailable(this.location, 'keep the connection', cause));
    // The others lead where this one did.
    if (cause instanceof MovedAway) this.#moved(cause);
  }

  #drop(link: Link): void {
    link.wire = undefined;
    link.running.unsubscribe();
    if (link === this.#subscriber) {
      this.#isListening = false;
      // Channels are not subscribed to again by themselves: whoever was listening has to read again anyway.
      this.#channels.clear();
    }
    for (const each of this.#links) if (each === link) each.server = undefined;
  }

  /** Another server is the one that serves: each connection finds it when it is made again. */
  #moved(cause: unknown): void {
    for (const link of this.#all) if (link.wire !== undefined) this.#remake(link, cause);
  }

  /** What is in between drops a connection that carries nothing, without a sign: only what is asked there tells. */
  #exercise(renewing: Link): void {
    for (const link of this.#links) {
      const { wire } = link;
      if (link === renewing || wire === undefined || link.server === undefined) continue;
      wire.call('TIME').catch((cause) => {
        // Whatever else it was, the connection has answered, or its end is told by an event.
        if (isUnanswered(cause) && link.wire === wire) this.#remake(link, cause);
      });
    }
  }

  #subscribe(channel: string): Promise<unknown> {
    const { wire } = this.#subscriber;
    return wire?.subscribe(channel) ?? Promise.reject(this.#lastError ?? new Error('there is no connection'));
  }

  #failSubscription(cause: unknown, tell: (error: CoordinationError) => void): void {
    if (isUnanswered(cause)) this.distrustMessages();
    if (isServedElsewhere(cause)) this.#moved(cause);
    tell(this.failureOf(cause, 'subscribe'));
  }

  #tellUp(): void {
    const up = this.#links.every(({ server }) => server !== undefined) && this.#isListening;
    this.#up.next(up);
  }

  #source(script: Script): Script['plain'] {
    return this.access.isCluster ? script.sharded : script.plain;
  }

  /** Of many that find a script missing at once, one sends it, and the others wait for that. */
  async #askWithText(wire: Wire, script: Script, command: readonly Argument[]): Promise<unknown> {
    const { lua } = this.#source(script);
    const send = (): Promise<unknown> => {
      const [, , ...args] = command;
      const sent = wire.call('EVAL', lua, ...args);
      this.#sending.set(lua, sent);
      const forget = (): void => {
        if (this.#sending.get(lua) === sent) this.#sending.delete(lua);
      };
      sent.then(forget, forget);
      return sent;
    };
    const sent = this.#sending.get(lua);
    if (sent === undefined) return send();
    // Whether it was carried out or refused, its own sender is told.
    await Promise.allSettled([sent]);
    return wire.call(...command).catch((cause) => {
      if (!isUncached(cause)) throw cause;
      return send();
    });
  }

  async #untilReplicated(operation: string, replicas: Replicas): Promise<void> {
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
