import { defer, first, map, type Observable, switchMap, tap } from 'rxjs';
import type { Entry, Expected, RosterKey, RosterKind, SwapResult, Versioned } from '../backend.js';
import { PlaceLost } from '../errors.js';
import type { Standing, StandRequest, StoreContext, StoreSession } from '../store.js';
import { swapCell, watchCell } from './cells.js';
import { Evictions } from './evictions.js';
import type { Grant } from './grant.js';
import { below, isEntry, type KeyRange, type Layout, oneKey, sessionOf, wishOf } from './layout.js';
import type { Link } from './link.js';
import type { Reading } from './mirror.js';
import { Mirrors } from './mirrors.js';
import { Outcomes } from './outcomes.js';
import { Pages } from './pages.js';
import { Participant } from './participant.js';
import { PlaceWatch } from './place.js';
import { register, registered, unregister } from './registry.js';
import { isPresent, remove } from './requests.js';
import { SessionLease } from './session-lease.js';

/** A session: a lease, kept alive over a link that mends itself. */
export class EtcdSession implements StoreSession {
  readonly id: string;
  readonly ttlMs: number;
  readonly provedMs: number;
  readonly link$: Observable<boolean>;
  readonly #lease: SessionLease;
  readonly #participant: Participant;
  readonly #outcomes: Outcomes;
  readonly #evictions: Evictions;
  readonly #rosters: Mirrors<Entry>;
  readonly #registries: Mirrors<string>;
  readonly #cells: Mirrors<Versioned>;

  constructor(
    grant: Grant,
    private readonly link: Link,
    private readonly layout: Layout,
    private readonly context: StoreContext,
  ) {
    this.#lease = new SessionLease(grant, link, layout.probe, context);
    this.#outcomes = new Outcomes(link, this.#lease, layout);
    this.#evictions = new Evictions(link, layout, this.#lease.hex);
    const pages = new Pages(link, context);
    this.#rosters = new Mirrors(link, pages);
    this.#registries = new Mirrors(link, pages);
    this.#cells = new Mirrors(link, pages);
    this.#participant = new Participant(link, this.#lease, layout);
    this.id = this.#lease.hex;
    this.ttlMs = grant.ttlMs;
    this.provedMs = grant.sentMs;
    this.link$ = link.up$;
  }

  renew(): Observable<number> {
    return this.#lease.renew();
  }

  enter(roster: RosterKey, request: StandRequest): Observable<Standing> {
    return this.#participant.enter(roster, request);
  }

  place(roster: RosterKey, request: StandRequest, standing: Standing): Observable<number> {
    const contender = this.#participant.contender(roster, request);
    const watch = new PlaceWatch(
      this.link,
      this.#lease,
      this.#evictions,
      this.context.scheduler,
      contender,
      standing.entry.token,
    );
    return defer(() => watch.places(this.#participant.takeFirstLook(standing))).pipe(
      tap({
        error: (error) => {
          if (error instanceof PlaceLost) this.#participant.forget(request);
        },
      }),
    );
  }

  update(roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void> {
    return this.#participant.update(roster, request, payload);
  }

  leave(roster: RosterKey, request: StandRequest, inDoubt: boolean): Observable<boolean> {
    return this.#participant.leave(roster, request, inDoubt);
  }

  entries(roster: RosterKey): Observable<readonly Entry[]> {
    return this.#rosters.follow(this.#entriesOf(roster), this.#entryOf(roster));
  }

  look(roster: RosterKey): Observable<readonly Entry[]> {
    return this.#rosters.look(this.#entriesOf(roster), this.#entryOf(roster));
  }

  evict(roster: RosterKey, entryId: string, writeId: string): Observable<boolean> {
    return defer(() => {
      const key = oneKey(this.layout.entries(roster) + entryId);
      const session = sessionOf(entryId);
      const notice = session === undefined ? [] : [this.layout.evictions(session) + writeId];
      const { lease } = this.#lease.newest;
      const told = notice.map((at) => ({
        request_put: { key: oneKey(at).start, value: Buffer.from(entryId), lease },
      }));
      const ways = [
        { outcome: 'evicted', compare: [isPresent(key)], success: [remove(key), ...told] },
        { outcome: 'absent' },
      ] as const;
      return this.#outcomes.write('evict', writeId, ways).pipe(
        tap(({ outcome }) => {
          // Whoever it is for has it from its watch; who was cut off looks for itself.
          if (outcome === 'evicted') for (const at of notice) this.#outcomes.forget(at);
        }),
        map(({ outcome }) => outcome === 'evicted'),
      );
    });
  }

  register(roster: RosterKey, writeId: string): Observable<boolean> {
    return register(this.#outcomes, this.layout, roster, writeId);
  }

  unregister(roster: RosterKey, writeId: string): Observable<'removed' | 'absent' | 'occupied'> {
    return unregister(this.#outcomes, this.layout, roster, writeId);
  }

  registered(kind: RosterKind): Observable<ReadonlySet<string>> {
    return registered(this.#registries, this.layout, kind);
  }

  cell(key: string): Observable<Versioned | undefined> {
    return watchCell(this.#cells, this.layout, key);
  }

  swap(key: string, expected: Expected, value: Uint8Array | undefined, writeId: string): Observable<SwapResult> {
    return swapCell(this.#outcomes, this.layout.cell(key), expected, value, writeId);
  }

  /** Waits for the link if it is down: whoever asks bounds the time. */
  end(): Observable<void> {
    return this.link.up$.pipe(
      first((up) => up),
      switchMap(() => this.#lease.revoke()),
    );
  }

  #entriesOf(roster: RosterKey): KeyRange {
    return below(this.layout.entries(roster));
  }

  #entryOf(roster: RosterKey): Reading<Entry> {
    const { length } = this.layout.entries(roster);
    return ({ key, create_revision, value }) => {
      const id = key.toString().slice(length);
      if (!isEntry(id)) return undefined;
      return { id, token: BigInt(create_revision), ...wishOf(roster.kind, id), payload: new Uint8Array(value) };
    };
  }
}
