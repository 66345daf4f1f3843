import {
  defer,
  EMPTY,
  expand,
  filter,
  finalize,
  map,
  merge,
  Observable,
  ReplaySubject,
  type Subscriber,
  Subscription,
  take,
} from 'rxjs';
import type { Entry, Expected, RosterKey, RosterKind, SwapResult, Versioned } from '../backend.js';
import {
  type CoordinationError,
  GroupNotFound,
  NotSupported,
  PermissionDenied,
  PlaceLost,
  SessionLost,
  Unavailable,
} from '../errors.js';
import { decodeSegment } from '../shared/keys.js';
import type { Standing, StandRequest, StoreContext, StoreSession } from '../store.js';
import type { Acquaintance, Told } from './acquaintance.js';
import type { Answer, Argument, Connections, Reply, Write } from './connections.js';
import { Heartbeat } from './heartbeat.js';
import { KnownEntries, unchanged } from './known-entries.js';
import { entryIdOf, type Layout, wishOf } from './layout.js';
import { type Gone, type Look, lossOf, Places } from './places.js';
import { bytes, numbers, outlookOf, payloadOf, text, texts } from './replies.js';
import * as scripts from './scripts.js';
import { type Known, unfollowed, Watch } from './watch.js';
import { Writes } from './writes.js';

/** What a session is opened with. */
export interface Opened {
  readonly id: string;
  readonly ttlMs: number;
  readonly provedMs: number;
  readonly dataId: string;
  /** Nobody is admitted for so long. */
  readonly quarantineMs: number;
}

/** What else is done about a request. */
interface About {
  /** Called if it is sent, which it is not without a connection. */
  sent(): void;
  readonly failed?: (failure: unknown) => void;
}

/** A session: one lease on the server, and what stands in it. */
export class RedisSession implements StoreSession {
  readonly id: string;
  readonly ttlMs: number;
  readonly provedMs: number;
  readonly link$: Observable<boolean>;
  readonly barredMs$: Observable<number>;
  readonly #places: Places;
  readonly #watches = new Map<string, Watch<unknown>>();
  readonly #lost = new ReplaySubject<never>(1);
  readonly #running = new Subscription();
  readonly #heartbeat: Heartbeat;
  readonly #writes = new Writes();
  /** Of the data that was last known to have everything that stands here. */
  #dataId: string;
  /** Of what is sent from now on: what was sent before counts for nothing once that has arrived. */
  #epoch = 0;

  constructor(
    opened: Opened,
    private readonly connections: Connections,
    private readonly layout: Layout,
    private readonly acquaintance: Acquaintance,
    private readonly context: StoreContext,
  ) {
    this.id = opened.id;
    this.ttlMs = opened.ttlMs;
    this.provedMs = opened.provedMs;
    this.#dataId = opened.dataId;
    this.link$ = merge(connections.up$, this.#lost);
    this.#heartbeat = new Heartbeat(context, () => connections.distrustMessages());
    this.#places = new Places(
      (stays) => this.#look(stays),
      context,
      connections.location,
      opened.provedMs + context.timing.renewEveryMs,
      (cause) => this.#lost.error(cause),
    );
    this.#places.heedQuarantine(opened.quarantineMs);
    this.barredMs$ = this.#places.barredMs$;
    this.#running.add(() => this.#places.dispose());
    this.#running.add(connections.cut$.subscribe((cause) => this.#cut(cause)));
    this.#running.add(connections.messages$.subscribe((message) => this.#hear(message)));
  }

  /** Ends its timers. */
  dispose(): void {
    this.#running.unsubscribe();
    this.#heartbeat.stop();
  }

  renew(): Observable<number> {
    return defer(() => {
      const sentMs = this.context.now();
      const { beat, answered } = this.#heartbeat.send();
      const known = this.#dataId;
      const renewal = this.#places.renewing();
      return this.#ask('renew', scripts.RENEW, [beat, known, this.#places.turn], ({ reply, dataId }) => {
        if (dataId !== known) {
          this.#reconcile(renewal, texts(reply[4]));
          for (const watch of this.#watches.values()) watch.doubt();
        }
        this.#dataId = dataId;
        this.#places.renewed(sentMs, outlookOf(reply));
        answered();
        return sentMs;
      });
    });
  }

  enter(roster: RosterKey, request: StandRequest): Observable<Standing> {
    const at = this.layout.roster(roster);
    const id = entryIdOf(this.id, request);
    const registry = request.registered ? [roster.kind, this.layout.segment(roster.name)] : ['', ''];
    return new Observable((observer) => {
      const stay = this.#places.expect(id, at, request);
      const read = ({ reply }: Told): Standing => {
        const status = text(reply[0]);
        if (status === 'absent') throw new GroupNotFound(roster.name);
        if (status !== 'ok') throw new PlaceLost(at, 'evicted');
        const token = this.acquaintance.met(text(reply[4]));
        const before = Number(reply[5]);
        const ahead = this.#places.entered(stay, before, outlookOf(reply));
        const barred = ahead >= request.permits && before < request.permits;
        return {
          entry: { id, token, mode: request.mode, permits: request.permits, payload: request.payload },
          ahead,
          barred,
        };
      };
      const own = [at, id, bytes(request.payload), ...registry];
      // Most often it takes none, and each argument costs.
      if (this.#places.turn !== '') own.push(this.#places.turn);
      this.#send(observer, 'enter', scripts.ENTER, own, read, {
        sent: request.sent,
        failed: (cause) => {
          // It did not happen, and is not repeated.
          if (!(cause instanceof Unavailable)) this.#places.forget(id);
          // But a script that is refused half-way keeps what it has written.
          if (cause instanceof PermissionDenied || cause instanceof NotSupported) this.#withdraw(at, id);
        },
      });
    });
  }

  place(_roster: RosterKey, request: StandRequest): Observable<number> {
    return this.#places.of(entryIdOf(this.id, request));
  }

  update(roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void> {
    const at = this.layout.roster(roster);
    const id = entryIdOf(this.id, request);
    const read = ({ reply, dataId }: Told): void => {
      if (text(reply[0]) !== 'ok') throw lossOf(at, this.#goneFrom(dataId));
    };
    return this.#ask('update', scripts.UPDATE, [at, id, bytes(payload)], read, request);
  }

  leave(roster: RosterKey, request: StandRequest, inDoubt: boolean): Observable<boolean> {
    const id = entryIdOf(this.id, request);
    return new Observable((observer) => {
      this.#places.forget(id);
      if (inDoubt) this.#epoch += 1;
      this.#send(observer, 'leave', scripts.LEAVE, [this.layout.roster(roster), id], wasThere, request);
    });
  }

  entries(roster: RosterKey): Observable<readonly Entry[]> {
    const at = this.layout.roster(roster);
    const entries$ = this.#watch<readonly Entry[]>(this.layout.rosterChannel(at), (known) => this.#read(at, known));
    return defer(() => {
      this.#places.watching(1);
      return entries$.pipe(finalize(() => this.#places.watching(-1)));
    });
  }

  look(roster: RosterKey): Observable<readonly Entry[]> {
    const at = this.layout.roster(roster);
    return defer(() => {
      // Who watches it already has most of it.
      const watch = this.#watches.get(this.layout.rosterChannel(at)) as Watch<readonly Entry[]> | undefined;
      return (
        watch?.value$.pipe(take(1)) ??
        this.#read(at, undefined).pipe(
          filter((read) => typeof read !== 'string'),
          map(({ value }) => value),
        )
      );
    });
  }

  evict(roster: RosterKey, entryId: string, writeId: string): Observable<boolean> {
    return this.#write('evict', scripts.EVICT, writeId, [this.layout.roster(roster), entryId]).pipe(
      map((reply) => text(reply[1]) === '1'),
    );
  }

  register({ kind, name }: RosterKey, writeId: string): Observable<boolean> {
    return this.#write('create', scripts.REGISTER, writeId, [kind, this.layout.segment(name)]).pipe(
      map((reply) => text(reply[1]) === '1'),
    );
  }

  unregister({ kind, name }: RosterKey, writeId: string): Observable<'removed' | 'absent' | 'occupied'> {
    return this.#write('delete', scripts.UNREGISTER, writeId, [kind, this.layout.segment(name)]).pipe(
      map((reply) => {
        const outcome = text(reply[1]);
        return outcome === 'absent' || outcome === 'occupied' ? outcome : 'removed';
      }),
    );
  }

  registered(kind: RosterKind): Observable<ReadonlySet<string>> {
    return this.#watch(this.layout.registryChannel(kind), () =>
      this.#ask('read registrations', scripts.REGISTERED, [kind], ({ reply }) =>
        unfollowed(new Set(texts(reply.slice(1)).flatMap((segment) => decodeSegment(segment) ?? []))),
      ),
    );
  }

  cell(key: string): Observable<Versioned | undefined> {
    const at = this.layout.segment(key);
    return this.#watch(this.layout.cellChannel(at), () =>
      this.#ask('read a cell', scripts.CELL, [at], ({ reply }) => unfollowed(this.#versioned(reply[1], reply[2]))),
    );
  }

  swap(key: string, expected: Expected, value: Uint8Array | undefined, writeId: string): Observable<SwapResult> {
    return this.#write('write a cell', scripts.SWAP, writeId, [
      this.layout.segment(key),
      expected.toString(),
      value === undefined ? '' : '1',
      bytes(value ?? new Uint8Array()),
    ]).pipe(map((reply) => ({ swapped: text(reply[1]) === '1', current: this.#versioned(reply[2], reply[3]) })));
  }

  end(): Observable<void> {
    const next = (): Observable<boolean> =>
      this.#ask('end the session', scripts.END, [], ({ reply }) => text(reply[1]) === '1');
    return next().pipe(
      expand((isLeft) => (isLeft ? next() : EMPTY)),
      map(() => undefined),
    );
  }

  /** Runs a script, and emits what is read of the answer. What that throws, it errors with. */
  #ask<T>(
    operation: string,
    script: scripts.Script,
    own: readonly Argument[],
    read: (told: Told) => T,
    about?: About,
  ): Observable<T> {
    return new Observable((observer) => this.#send(observer, operation, script, own, read, about));
  }

  #send<T>(
    observer: Subscriber<T>,
    operation: string,
    script: scripts.Script,
    own: readonly Argument[],
    read: (told: Told) => T,
    about?: About,
  ): void {
    const asking = this.acquaintance.ask({ id: this.id, ttlMs: this.ttlMs, epoch: this.#epoch }, this.context.now);
    const write: Write = (server, command) => {
      about?.sent();
      asking.write(server, command);
      for (const each of own) command.push(each);
    };
    const fail = (failure: unknown): void => {
      if (observer.closed) return;
      about?.failed?.(failure);
      observer.error(failure);
    };
    const answered = (answer: Answer): void => {
      if (observer.closed) return;
      let value: T;
      try {
        const told = asking.read(answer);
        const status = text(told.reply[0]);
        if (status === 'lost') throw new SessionLost(this.id, 'the store has ended it', true);
        if (status === 'late')
          throw this.connections.failureOf(new Error('it arrived after later requests'), operation);
        value = read(told);
      } catch (error) {
        fail(error);
        return;
      }
      observer.next(value);
      observer.complete();
    };
    this.connections.ask(operation, script, write, answered, fail);
  }

  /** What changes something once, however often it is asked for. */
  #write(operation: string, script: scripts.Script, id: string, own: readonly Argument[]): Observable<Reply> {
    return defer(() => {
      const forgotten = this.#writes.send(id);
      return this.#ask(operation, script, [id, forgotten.join(' '), ...own], ({ reply }) => {
        this.#writes.answered(id, forgotten);
        return reply;
      });
    });
  }

  #look(stays: Parameters<Look>[0]): ReturnType<Look> {
    const own = [this.#places.turn, ...stays.flatMap(({ roster, entryId }) => [roster, entryId])];
    return this.#ask('look at places', scripts.LOOK, own, ({ reply, dataId }) => ({
      outlook: outlookOf(reply),
      places: numbers(reply[4]),
      how: this.#goneFrom(dataId),
    }));
  }

  /** How what is not in this data was lost: all that stands was in the one that was known last. */
  #goneFrom(dataId: string): Gone {
    return dataId === this.#dataId ? 'evicted' : 'forgotten';
  }

  /** Takes out what nobody asks for any more. */
  #withdraw(at: string, entryId: string): void {
    const left$ = this.#ask('leave', scripts.LEAVE, [at, entryId], wasThere);
    this.#running.add(left$.subscribe({ error: (cause) => this.context.fault(cause) }));
  }

  /** A message in the session's channel: one of its own heartbeats, or what there is to know about some entries. */
  #hear(message: string): void {
    if (this.#heartbeat.hear(message)) return;
    for (const line of message.split(' ')) {
      const [entryId = '', ahead = '', dataId = ''] = line.split(':');
      this.#places.heard(entryId, /^\d+$/.test(ahead) ? Number(ahead) : undefined, this.#isTakenFor(dataId));
    }
  }

  /**
   * Whether the word of this data is enough to be admitted. Not of another than the one that has answered last: a server
   * that was deposed may bury whoever renews at its successor. And not where replicas must have what it says.
   */
  #isTakenFor(dataId: string): boolean {
    return !this.connections.isReplicated && this.acquaintance.isOf(dataId);
  }

  #cut(cause: CoordinationError): void {
    this.#epoch += 1;
    this.#heartbeat.cut();
    this.#places.cut(cause);
  }

  /** The data may have lost something: what stands there now is compared to what should. */
  #reconcile(renewal: number, members: readonly string[]): void {
    const there = new Map<string, string>();
    for (const member of members) {
      const [, id, roster] = /^e([^:]*):(.*)$/s.exec(member) ?? [];
      if (id !== undefined && roster !== undefined) there.set(id, roster);
    }
    this.#places.reconcile(renewal, new Set(there.keys()));
    for (const [id, roster] of there) {
      if (this.#places.get(id) !== undefined) continue;
      this.#withdraw(roster, id);
    }
  }

  #watch<T>(channel: string, read: (known: Known<T> | undefined) => Observable<Known<T> | string>): Observable<T> {
    return defer(() => {
      const known = this.#watches.get(channel) as Watch<T> | undefined;
      if (known !== undefined) return known.value$;
      const forsaken = (): void => {
        if (this.#watches.get(channel) === made) this.#watches.delete(channel);
      };
      const changes$ = this.connections.channel(channel);
      const made: Watch<T> = new Watch(changes$, read, forsaken, this.context.scheduler);
      this.#watches.set(channel, made as Watch<unknown>);
      return made.value$;
    });
  }

  /** All of a roster; or, where that is known, that it has not changed since. */
  #read(at: string, known: Known<readonly Entry[]> | undefined): Observable<KnownEntries | string> {
    const of = known instanceof KnownEntries ? known.dataId : '';
    return this.#ask('read entries', scripts.ENTRIES, [at, of], ({ dataId, count, reply }) => {
      if (text(reply[0]) === 'known') return unchanged(dataId, text(reply[1]), Number(reply[2]));
      const entries: Entry[] = [];
      for (let n = 1; n + 2 < reply.length; n += 3)
        entries.push(...this.#entryOf(text(reply[n]), text(reply[n + 1]), payloadOf(reply[n + 2])));
      return new KnownEntries(dataId, count, entries, this.#entryOf);
    });
  }

  readonly #entryOf = (id: string, token: string, payload: Uint8Array): readonly Entry[] => {
    const wish = wishOf(id);
    return wish === undefined ? [] : [{ id, ...wish, token: this.acquaintance.met(token), payload }];
  };

  #versioned(version: unknown, value: unknown): Versioned | undefined {
    const known = text(version);
    return known === '' ? undefined : { version: this.acquaintance.met(known), value: payloadOf(value) };
  }
}

/** What LEAVE tells. */
function wasThere({ reply }: Told): boolean {
  return text(reply[1]) === '1';
}
