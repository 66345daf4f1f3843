import { GroupNotFound, PlaceLost, SessionLost, Unavailable } from 'conclave';
import {
  type Characteristics,
  conflictsAhead,
  decodeSegment,
  type Entry,
  type Expected,
  encodeSegment,
  type Standing,
  type StandRequest,
  type Store,
  type StoreContext,
  type StoreSession,
  type SwapResult,
  type Versioned,
} from 'conclave/backend';
import {
  concat,
  defer,
  distinctUntilChanged,
  filter,
  merge,
  NEVER,
  type Observable,
  of,
  Subject,
  Subscription,
  switchMap,
  timer,
} from 'rxjs';

export const mapCharacteristics: Characteristics = {
  distributed: false,
  fair: true,
  tokensSurviveRestart: true,
  tokensSurviveDataLoss: false,
  consistentFailover: true,
  cells: true,
  caveats: ['It coordinates within one process.', 'A new store counts its tokens from one again.'],
};

/** A value of the Map. */
type Row =
  | { readonly is: 'entry'; readonly session: string; readonly entry: Entry; readonly updates: number }
  | { readonly is: 'refusal'; readonly session: string }
  | { readonly is: 'registration' }
  | { readonly is: 'cell'; readonly current: Versioned }
  | { readonly is: 'write'; readonly session: string };

interface Session {
  /** Errors when it is ended before its time. */
  readonly ended$: Subject<never>;
  expiry: Subscription;
  /** From now on it has its whole lifetime before it. Returns since when. */
  prolong(): number;
}

const expired = (session: string): SessionLost => new SessionLost(session, 'the store has ended it', true);

/**
 * A store over a plain Map, to which any number of backends connect. These are its keys:
 *
 *     <namespace>/<kind>/<name>/<entry>        who stands in a roster; the order of the Map is that of the tokens
 *     <namespace>/refused/<entry>              an entry that was given up before it was made, and must not come to be
 *     <namespace>/registered/<kind>/<name>     a roster that was registered
 *     <namespace>/cell/<key>                   a value and its version
 *     <namespace>/written/<write>              a write that has changed something; goes with its session
 *
 * What proves a renewal? The call itself: the Map is in this process, so `renew` puts the end of the session off at a
 * moment that is no earlier than the one it reports.
 */
export class MapStore {
  readonly #rows = new Map<string, Row>();
  /** Those that are alive. */
  readonly #sessions = new Map<string, Session>();
  /** Names what has changed: a cell, or the prefix of the rows that a stream shows. */
  readonly #changed$ = new Subject<string>();
  #lastToken = 0n;
  /** Why nothing can be written at present. */
  #refusal: string | undefined;

  /** As if its server were gone: no session expires meanwhile. */
  stop(): void {
    for (const { expiry } of this.#sessions.values()) expiry.unsubscribe();
  }

  /** As if it were there again, with its data or without. */
  start({ keepData }: { readonly keepData: boolean }): void {
    if (keepData) {
      for (const { prolong } of this.#sessions.values()) prolong();
      return;
    }
    for (const id of [...this.#sessions.keys()]) this.expire(id);
    this.#rows.clear();
    this.#lastToken = 0n;
  }

  /** Ends a session. Its owner is told first: by then it has given up what is free for others. */
  expire(sessionId: string): void {
    this.#sessions.get(sessionId)?.ended$.error(expired(sessionId));
    this.#end(sessionId);
  }

  /** Refuses whatever is written, as a store does that is full, until it is called without a reason. */
  refuse(reason: string | undefined): void {
    this.#refusal = reason;
  }

  adapter(namespace = ''): Store {
    const keyOf = (...names: readonly string[]): string => [namespace, ...names].map(encodeSegment).join('/');
    return {
      name: 'map',
      address: 'this process',
      characteristics: mapCharacteristics,
      // The link of a session is up until it is unsubscribed. There is nothing to cut.
      open: (context) => defer(() => concat(of(this.#open(context, keyOf)), NEVER)),
    };
  }

  #open(context: StoreContext, keyOf: (...names: readonly string[]) => string): StoreSession {
    const id = context.newId();
    const { ttlMs } = context.timing;
    const session: Session = {
      ended$: new Subject(),
      expiry: Subscription.EMPTY,
      prolong: () => {
        const sentMs = context.now();
        session.expiry.unsubscribe();
        session.expiry = timer(ttlMs, context.scheduler).subscribe(() => this.#end(id));
        return sentMs;
      },
    };
    this.#sessions.set(id, session);
    let updates = 0;
    /** One request: cold, and refused once the session is over. */
    const call = <T>(act: () => T): Observable<T> =>
      defer(() => {
        if (!this.#sessions.has(id)) throw expired(id);
        return of(act());
      });
    /** One that changes something. What is refused for long is told, since it is repeated without end. */
    const change = <T>(what: string, act: () => T): Observable<T> =>
      call(() => {
        if (this.#refusal === undefined) return act();
        const refused = new Unavailable('map', what, this.#refusal);
        context.fault(refused);
        throw refused;
      });
    /** What has changed something is not done again, whatever has become of it since: `done` is what is told then. */
    const write = <T>(
      what: string,
      writeId: string,
      act: () => T,
      done: T,
      isDone = (outcome: T) => outcome === done,
    ): Observable<T> =>
      change(what, () => {
        if (this.#rows.has(keyOf('written', writeId))) return done;
        const outcome = act();
        if (isDone(outcome)) this.#rows.set(keyOf('written', writeId), { is: 'write', session: id });
        return outcome;
      });
    /** What there is, and again after each change. It listens before it looks, so that it misses none. */
    const follow = <T>(key: string, look: () => T): Observable<T> =>
      merge(this.#changed$, of(key)).pipe(
        filter((changed) => changed === key),
        switchMap(() => call(look)),
      );
    const rosterOf = ({ kind, name }: { kind: string; name: string }): string => `${keyOf(kind, name)}/`;
    return {
      id,
      ttlMs,
      provedMs: session.prolong(),
      link$: merge(of(true), session.ended$),
      renew: () => call(session.prolong),
      enter: (roster, request) =>
        change('enter', () => {
          request.sent();
          const registration = request.registered ? keyOf('registered', roster.kind, roster.name) : undefined;
          if (registration !== undefined && !this.#rows.has(registration)) throw new GroupNotFound(roster.name);
          if (this.#rows.has(keyOf('refused', request.id))) throw new PlaceLost(roster.name, 'evicted');
          return this.#enter(rosterOf(roster), request, id);
        }),
      place: (roster, { id: entryId, permits }) =>
        follow(rosterOf(roster), () =>
          this.#ahead(rosterOf(roster), this.#standing(rosterOf(roster), entryId).entry, permits),
        ).pipe(distinctUntilChanged()),
      update: (roster, { id: entryId, sent }, payload) => {
        // In the order in which they were asked for: one that was overtaken on its way changes nothing any more.
        const number = ++updates;
        return change('update', () => {
          sent();
          const row = this.#standing(rosterOf(roster), entryId);
          if (number < row.updates) return;
          this.#rows.set(rosterOf(roster) + entryId, { ...row, entry: { ...row.entry, payload }, updates: number });
          this.#changed$.next(rosterOf(roster));
        });
      },
      leave: (roster, request, inDoubt) =>
        change('leave', () => {
          request.sent();
          if (inDoubt) this.#rows.set(keyOf('refused', request.id), { is: 'refusal', session: id });
          return this.#remove(rosterOf(roster), request.id);
        }),
      entries: (roster) => follow(rosterOf(roster), () => this.#entries(rosterOf(roster))),
      look: (roster) => call(() => this.#entries(rosterOf(roster))),
      evict: (roster, entryId, writeId) => write('evict', writeId, () => this.#remove(rosterOf(roster), entryId), true),
      register: ({ kind, name }, writeId) =>
        write('register', writeId, () => this.#register(`${keyOf('registered', kind)}/`, encodeSegment(name)), true),
      unregister: (roster, writeId) =>
        write<'removed' | 'absent' | 'occupied'>(
          'unregister',
          writeId,
          () => {
            const [registry, segment] = [`${keyOf('registered', roster.kind)}/`, encodeSegment(roster.name)];
            if (!this.#rows.has(registry + segment)) return 'absent';
            if (this.#entries(rosterOf(roster)).length > 0) return 'occupied';
            this.#remove(registry, segment);
            return 'removed';
          },
          'removed',
        ),
      registered: (kind) => follow(`${keyOf('registered', kind)}/`, () => this.#names(`${keyOf('registered', kind)}/`)),
      cell: (key) => follow(keyOf('cell', key), () => this.#cell(keyOf('cell', key))),
      swap: (key, expected, value, writeId) =>
        defer(() =>
          write<SwapResult>(
            'write a cell',
            writeId,
            () => this.#swap(keyOf('cell', key), expected, value),
            { swapped: true, current: this.#cell(keyOf('cell', key)) },
            ({ swapped }) => swapped,
          ),
        ),
      end: () => defer(() => of(this.#end(id))),
    };
  }

  /** Everything that belongs to the session goes before anybody is told. */
  #end(session: string): void {
    this.#sessions.get(session)?.expiry.unsubscribe();
    this.#sessions.delete(session);
    const gone = [...this.#rows].filter(([, row]) => 'session' in row && row.session === session);
    for (const [key] of gone) this.#rows.delete(key);
    const rosters = gone.map(([key]) => key.slice(0, key.lastIndexOf('/') + 1));
    for (const roster of new Set(rosters)) this.#changed$.next(roster);
  }

  /** Whoever asks again under the same id is told of the entry that was made before. */
  #enter(roster: string, { id, mode, payload, permits }: StandRequest, session: string): Standing {
    const known = this.#rows.get(roster + id);
    if (known?.is === 'entry') return { entry: known.entry, ahead: this.#ahead(roster, known.entry, permits) };
    this.#lastToken += 1n;
    const entry: Entry = { id, token: this.#lastToken, mode, permits, payload };
    this.#rows.set(roster + id, { is: 'entry', session, entry, updates: 0 });
    const ahead = this.#ahead(roster, entry, permits);
    this.#changed$.next(roster);
    return { entry, ahead };
  }

  #standing(roster: string, id: string): Extract<Row, { is: 'entry' }> {
    const row = this.#rows.get(roster + id);
    if (row?.is !== 'entry') throw new PlaceLost(id, 'evicted');
    return row;
  }

  #entries(roster: string): readonly Entry[] {
    return [...this.#rows].flatMap(([key, row]) => (row.is === 'entry' && key.startsWith(roster) ? [row.entry] : []));
  }

  #ahead(roster: string, entry: Entry, permits: number): number {
    return conflictsAhead(this.#entries(roster), entry, permits);
  }

  #remove(prefix: string, rest: string): boolean {
    const wasThere = this.#rows.delete(prefix + rest);
    if (wasThere) this.#changed$.next(prefix);
    return wasThere;
  }

  #register(registry: string, segment: string): boolean {
    if (this.#rows.has(registry + segment)) return false;
    this.#rows.set(registry + segment, { is: 'registration' });
    this.#changed$.next(registry);
    return true;
  }

  #names(registry: string): ReadonlySet<string> {
    const keys = [...this.#rows.keys()].filter((key) => key.startsWith(registry));
    return new Set(keys.map((key) => decodeSegment(key.slice(registry.length)) ?? key));
  }

  #cell(key: string): Versioned | undefined {
    const row = this.#rows.get(key);
    return row?.is === 'cell' ? row.current : undefined;
  }

  #swap(key: string, expected: Expected, value: Uint8Array | undefined): SwapResult {
    const before = this.#cell(key);
    const fits = expected === 'any' || expected === (before?.version ?? 'absent');
    if (!fits) return { swapped: false, current: before };
    this.#lastToken += 1n;
    const current = value && { value, version: this.#lastToken };
    if (current === undefined) this.#rows.delete(key);
    else this.#rows.set(key, { is: 'cell', current });
    this.#changed$.next(key);
    return { swapped: true, current };
  }
}
