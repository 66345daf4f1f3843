import { GroupNotFound, PlaceLost, SessionLost } from 'conclave';
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
  type Subscription,
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
  | { readonly is: 'entry'; readonly session: string; readonly entry: Entry }
  | { readonly is: 'refusal'; readonly session: string }
  | { readonly is: 'registration' }
  | { readonly is: 'cell'; readonly current: Versioned }
  | { readonly is: 'write'; readonly session: string };

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
  /** When each session that is alive will have expired. */
  readonly #expiries = new Map<string, Subscription>();
  /** Names what has changed: a cell, or the prefix of the rows that a stream shows. */
  readonly #changed$ = new Subject<string>();
  #lastToken = 0n;

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
    const prolong = (): number => {
      const sentMs = context.now();
      this.#expiries.get(id)?.unsubscribe();
      this.#expiries.set(
        id,
        timer(ttlMs, context.scheduler).subscribe(() => this.#end(id)),
      );
      return sentMs;
    };
    /** One request: cold, and refused once the session is over. */
    const call = <T>(act: () => T): Observable<T> =>
      defer(() => {
        if (!this.#expiries.has(id)) throw new SessionLost(id, 'the store has expired it', true);
        return of(act());
      });
    /** What has changed something is not done again, whatever has become of it since: `done` is what is told then. */
    const write = <T>(
      writeId: string,
      act: () => T,
      done: T,
      isDone = (outcome: T) => outcome === done,
    ): Observable<T> =>
      call(() => {
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
      provedMs: prolong(),
      link$: concat(of(true), NEVER),
      renew: () => call(prolong),
      enter: (roster, request) =>
        call(() => {
          request.sent();
          const registration = request.registered ? keyOf('registered', roster.kind, roster.name) : undefined;
          if (registration !== undefined && !this.#rows.has(registration)) throw new GroupNotFound(roster.name);
          if (this.#rows.has(keyOf('refused', request.id))) throw new PlaceLost(roster.name, 'evicted');
          return this.#enter(rosterOf(roster), request, id);
        }),
      place: (roster, { id: entryId, permits }) =>
        follow(rosterOf(roster), () =>
          this.#ahead(rosterOf(roster), this.#entry(rosterOf(roster), entryId), permits),
        ).pipe(distinctUntilChanged()),
      update: (roster, { id: entryId }, payload) =>
        call(() => {
          const entry = { ...this.#entry(rosterOf(roster), entryId), payload };
          this.#rows.set(rosterOf(roster) + entryId, { is: 'entry', session: id, entry });
          this.#changed$.next(rosterOf(roster));
        }),
      leave: (roster, request, inDoubt) =>
        call(() => {
          if (inDoubt) this.#rows.set(keyOf('refused', request.id), { is: 'refusal', session: id });
          this.#remove(rosterOf(roster), request.id);
        }),
      entries: (roster) => follow(rosterOf(roster), () => this.#entries(rosterOf(roster))),
      look: (roster) => call(() => this.#entries(rosterOf(roster))),
      evict: (roster, entryId, writeId) => write(writeId, () => this.#remove(rosterOf(roster), entryId), true),
      register: ({ kind, name }, writeId) =>
        write(writeId, () => this.#register(`${keyOf('registered', kind)}/`, encodeSegment(name)), true),
      unregister: (roster, writeId) =>
        write<'removed' | 'absent' | 'occupied'>(
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
    this.#expiries.get(session)?.unsubscribe();
    this.#expiries.delete(session);
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
    const entry: Entry = { id, token: this.#lastToken, mode, payload };
    this.#rows.set(roster + id, { is: 'entry', session, entry });
    const ahead = this.#ahead(roster, entry, permits);
    this.#changed$.next(roster);
    return { entry, ahead };
  }

  #entry(roster: string, id: string): Entry {
    const row = this.#rows.get(roster + id);
    if (row?.is !== 'entry') throw new PlaceLost(id, 'evicted');
    return row.entry;
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
