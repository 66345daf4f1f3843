import { type Backend, type BackendOptions, Unavailable } from 'conclave';
import { createBackend, type StandRequest, type Store, type StoreContext, type StoreSession } from 'conclave/backend';
import type { StrandedConnection } from 'conclave/testing/servers';
import {
  BehaviorSubject,
  defer,
  delay,
  dematerialize,
  EMPTY,
  filter,
  finalize,
  lastValueFrom,
  map,
  materialize,
  merge,
  mergeMap,
  NEVER,
  type Observable,
  of,
  type SchedulerLike,
  switchMap,
  tap,
  throwError,
} from 'rxjs';
import type { Link } from './quirks.js';

/** About as much as a message takes on a wire. */
const messageBytes = 50;

/** What `LocalLink` connects to. */
interface Adapting {
  adapter(namespace?: string): Store;
}

interface Trap {
  readonly marker: string;
  /** Whether the request is held back; what `run` returns carries it out. */
  sprung(run: () => Observable<unknown>): boolean;
}

/** Between a store and its backends: what a wire does to requests and replies is done to calls and results. */
export class LocalLink implements Link {
  #passes: 'everything' | 'requests' | 'news' | 'nothing' = 'everything';
  readonly #isWhole = new BehaviorSubject(true);
  #replyDelayMs = 0;
  #connections = 0;
  #received = 0;
  #trap: Trap | undefined;

  constructor(
    private readonly store: Adapting,
    /** Stands between the wire and the kernel. */
    private readonly altered: (adapter: Store) => Store = (adapter) => adapter,
  ) {}

  connect(options: BackendOptions): Backend {
    const adapter = this.altered(this.#adapter(options.namespace));
    return createBackend(adapter.name, adapter.characteristics, of(adapter), options);
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

  delayReplies(ms: number): void {
    this.#replyDelayMs = ms;
  }

  muteAfter(marker: string): Promise<void> {
    return new Promise((muted) => {
      this.#trap = {
        marker,
        sprung: () => {
          this.mute();
          muted();
          return false;
        },
      };
    });
  }

  strandAfter(marker: string): Promise<StrandedConnection> {
    return new Promise((stranded) => {
      this.#trap = {
        marker,
        sprung: (run) => {
          let late: Observable<unknown> = run();
          stranded({
            arrive: async () => {
              const arriving = late;
              late = EMPTY;
              // Whatever it is told, nobody is there to hear it.
              await lastValueFrom(arriving, { defaultValue: undefined }).catch(() => undefined);
            },
          });
          this.#isWhole.next(false);
          this.#isWhole.next(true);
          return true;
        },
      };
    });
  }

  async heal(): Promise<void> {
    this.#passes = 'everything';
    this.#replyDelayMs = 0;
    this.#isWhole.next(true);
  }

  async reset(): Promise<void> {
    this.cut();
    await this.heal();
  }

  received(): number {
    return this.#received;
  }

  connections(): number {
    return this.#connections;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.heal();
  }

  #adapter(namespace: string | undefined): Store {
    const { name, address, characteristics } = this.store.adapter(namespace);
    const open = (context: StoreContext): Observable<StoreSession> =>
      defer(() => {
        if (this.#passes !== 'everything') return this.#unanswered('open');
        return this.store
          .adapter(namespace)
          .open(context)
          .pipe(
            tap(() => this.#connections++),
            finalize(() => this.#connections--),
            this.#slow(context.scheduler),
            map((session) => this.#through(session, context.scheduler)),
          );
      });
    return { name, address, characteristics, open };
  }

  #through(session: StoreSession, scheduler: SchedulerLike): StoreSession {
    const call = <T>(operation: string, carries: string, run: () => Observable<T>, late = run): Observable<T> =>
      defer(() => {
        if (this.#springs(carries, late)) return this.#unanswered(operation);
        if (this.#passes === 'everything') return run().pipe(this.#late(scheduler));
        if (this.#passes === 'requests') run().subscribe({ error: () => undefined });
        return this.#unanswered(operation);
      });
    const follow = <T>(operation: string, run: () => Observable<T>): Observable<T> =>
      this.#isWhole.pipe(
        switchMap((whole) => (whole ? run().pipe(this.#late(scheduler)) : this.#unanswered(operation))),
        filter(() => this.#passes === 'everything' || this.#passes === 'news'),
      );
    /** It goes out, whatever becomes of it. */
    const sending = <T>(request: StandRequest, run: (unheard: StandRequest) => Observable<T>): Observable<T> =>
      defer(() => {
        request.sent();
        return run({ ...request, sent: () => undefined });
      });
    return {
      ...session,
      link$: this.#isWhole.pipe(switchMap((whole) => (whole ? session.link$ : of(false)))),
      renew: () => call('renew', '', () => session.renew()),
      enter: (roster, request) =>
        call(
          'enter',
          text(request.payload),
          () => session.enter(roster, request),
          () => {
            // It goes out now, and arrives when nobody listens any more.
            request.sent();
            return session.enter(roster, { ...request, sent: () => undefined });
          },
        ),
      place: (roster, request, standing) => follow('follow a place', () => session.place(roster, request, standing)),
      update: (roster, request, payload) =>
        sending(request, (unheard) => call('update', text(payload), () => session.update(roster, unheard, payload))),
      leave: (roster, request, inDoubt) =>
        sending(request, (unheard) => call('leave', '', () => session.leave(roster, unheard, inDoubt))),
      entries: (roster) => follow('follow entries', () => session.entries(roster)),
      look: (roster) => call('look', '', () => session.look(roster)),
      evict: (roster, entryId, writeId) => call('evict', entryId, () => session.evict(roster, entryId, writeId)),
      register: (roster, writeId) => call('create', roster.name, () => session.register(roster, writeId)),
      unregister: (roster, writeId) => call('delete', roster.name, () => session.unregister(roster, writeId)),
      registered: (kind) => follow('follow registrations', () => session.registered(kind)),
      cell: (key) => follow('follow a cell', () => session.cell(key)),
      swap: (key, expected, value, writeId) =>
        call('write a cell', `${key} ${text(value ?? new Uint8Array())}`, () =>
          session.swap(key, expected, value, writeId),
        ),
      end: (isLost) => call('end', '', () => session.end(isLost)),
    };
  }

  /** What comes back takes as long as replies do now, also where it is an error; what is on its way then may be lost. */
  #late(scheduler: SchedulerLike): <T>(source: Observable<T>) => Observable<T> {
    const isSlow = this.#replyDelayMs > 0;
    const broken$ = this.#isWhole.pipe(
      filter((whole) => !whole),
      mergeMap(() => this.#unanswered('hear of it')),
    );
    const slow = this.#slow(scheduler);
    return <T>(source: Observable<T>) => (isSlow ? takenUntilBroken(source.pipe(slow), broken$) : source.pipe(slow));
  }

  #slow(scheduler: SchedulerLike): <T>(source: Observable<T>) => Observable<T> {
    const delayMs = this.#replyDelayMs;
    return (source) => {
      const counted = source.pipe(tap(() => (this.#received += messageBytes)));
      if (delayMs === 0) return counted;
      const late = counted.pipe(
        materialize(),
        delay(delayMs, scheduler),
        filter(() => this.#passes === 'everything' || this.#passes === 'news'),
      );
      return merge(late, NEVER).pipe(dematerialize());
    };
  }

  #springs(carries: string, run: () => Observable<unknown>): boolean {
    const trap = this.#trap;
    if (trap === undefined || !carries.includes(trap.marker)) return false;
    this.#trap = undefined;
    return trap.sprung(run);
  }

  #unanswered(operation: string): Observable<never> {
    return throwError(() => new Unavailable(this.store.adapter().name, operation, new Error('the link is broken')));
  }
}

/** Ends as `source` does, unless `broken$` errors before. */
function takenUntilBroken<T>(source: Observable<T>, broken$: Observable<never>): Observable<T> {
  return merge(broken$, source.pipe(materialize())).pipe(dematerialize());
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
