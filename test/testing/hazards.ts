import { isSome, none, type Option } from 'fp-ts/lib/Option.js';
import {
  catchError,
  defer,
  EMPTY,
  map,
  Observable,
  of,
  ReplaySubject,
  repeat,
  retry,
  Subscription,
  share,
  switchMap,
  take,
  tap,
  timer,
} from 'rxjs';
import type { Backend } from '../../src/backends/backend.js';
import { jsonCodec } from '../../src/backends/shared/codec.js';
import { campaign, type Grant, join, LockLost, lock, members, whileTrue, withLock } from '../../src/index.js';
import type { Moment } from '../../src/testing/explore.js';
import type { Cluster } from '../../src/testing/simulate.js';
import { NAMES } from './recipes.js';

/** What each of the scenarios below looks for. */
export type Hazard =
  | 'work that has ended is begun'
  | 'a write is repeated and undoes what came since'
  | 'an act is said not to have been done, or done twice'
  | 'a promise that outlives close() is not told of the loss'
  | 'a gate opens although the loss is due'
  | 'a set of members is without somebody who is there';

/** Breakers of one entry: how many do not know yet, or never will, and what the others were told. */
interface Breaking {
  unknown: number;
  hasBroken: boolean;
}

/** What three processes have been told, as far as it shows a hazard. */
export class Told {
  readonly broken = new Map<Hazard, string>();
  /** Who works under which lock, as far as the process was told. */
  readonly working = { ended: new Map<string, Grant>(), closing: new Map<string, Grant>() };
  readonly breaking = new Map<string, Breaking>();
  readonly evicted = new Set<string>();
  held: string | undefined;
  made = 0;
  removed = 0;
  /** Of deletions of the group that are under way, or whose outcome nobody knows. */
  removing = 0;
  readonly closedAtMs = new Map<string, number>();
  readonly ended = new Set<string>();
  #read = 0;
  #isDataLost = false;
  readonly #suspended = new Set<string>();

  constructor(readonly cluster: Cluster) {}

  breaks(hazard: Hazard, how: string): void {
    if (!this.broken.has(hazard)) this.broken.set(hazard, how);
  }

  /** Whether the store has lost its data at any time: nothing that was written counts then. */
  get isDataLost(): boolean {
    this.#catchUp();
    return this.#isDataLost;
  }

  /** Holders whose process runs, and would find that it holds if it asked. */
  running(holders: ReadonlyMap<string, Grant>): readonly string[] {
    this.#catchUp();
    return [...holders]
      .filter(
        ([name, grant]) =>
          this.cluster.isRunning(name) &&
          // Nobody tells a process that its machine was suspended: it has to ask.
          (!this.#suspended.has(name) || this.cluster.run(name, () => grant.isValid())),
      )
      .map(([name]) => name);
  }

  #catchUp(): void {
    const { history } = this.cluster;
    for (; this.#read < history.length; this.#read++) {
      const line = history[this.#read] ?? '';
      if (line.includes('- restartStore({ keepData: false')) this.#isDataLost = true;
      const suspended = /- suspend\('(\w+)'/.exec(line)?.[1];
      if (suspended !== undefined) this.#suspended.add(suspended);
    }
  }
}

/** Five processes that do what has gone wrong before. */
export function hazards(cluster: Cluster): Told {
  const told = new Told(cluster);
  for (const name of NAMES) {
    const backend = cluster.backend(name, { maxBackoffMs: 500, closeTimeoutMs: 1_000 });
    cluster.run(name, () => {
      endsWhileWorkIsMade(told, name, backend);
      counts(told, name, backend);
      overwrites(told, name, backend);
      breaks(told, name, backend);
      foundsAndDeletes(told, backend);
      watchesMembers(told, name, backend);
      worksWhileClosing(told, name, backend);
    });
  }
  // They are told of nothing else that would make them look at the clock.
  for (const name of ['d', 'e']) {
    const backend = cluster.backend(name, { maxBackoffMs: 500 });
    cluster.run(name, () => opensGates(told, backend));
  }
  return told;
}

/** Says which hazard has shown itself, or `undefined`. */
export function whatIsBroken(told: Told, { cluster, isCalm }: Moment, only?: Hazard): string | undefined {
  for (const [hazard, holders] of [
    ['work that has ended is begun', told.working.ended],
    ['a promise that outlives close() is not told of the loss', told.working.closing],
  ] as const) {
    const running = holders.size > 1 ? told.running(holders) : [];
    if (running.length > 1) told.breaks(hazard, `${running.join(' and ')} work at the same time`);
  }
  if (isCalm) {
    for (const [name, atMs] of told.closedAtMs)
      if (cluster.isRunning(name) && !told.ended.has(name))
        told.breaks(
          'a promise that outlives close() is not told of the loss',
          `${name}, closed at ${atMs}, waits still`,
        );
    if (!told.isDataLost)
      for (const id of told.evicted) {
        const { unknown = 0, hasBroken = false } = told.breaking.get(id) ?? {};
        if (unknown === 0 && !hasBroken)
          told.breaks(
            'an act is said not to have been done, or done twice',
            `nobody has evicted ${id}, which was evicted`,
          );
      }
  }
  if (!told.isDataLost && told.made > told.removed + told.removing + 1)
    told.breaks(
      'an act is said not to have been done, or done twice',
      `the group was made ${told.made} times and deleted ${told.removed} times`,
    );
  for (const [hazard, how] of told.broken) if (only === undefined || hazard === only) return `${hazard}: ${how}`;
  return undefined;
}

/** Again and again, `everyMs` after each end, until the backend is closed. */
function again(everyMs: number, once: () => Observable<unknown>): Subscription {
  return defer(once)
    .pipe(
      catchError(() => EMPTY),
      repeat({ delay: () => timer(everyMs) }),
    )
    .subscribe();
}

/** Unsubscribes, sometimes, while its work is being made. */
function endsWhileWorkIsMade(told: Told, name: string, backend: Backend): void {
  const { ended } = told.working;
  again(
    300,
    () =>
      new Observable<number>((subscriber) => {
        const outer = new Subscription();
        subscriber.add(outer);
        const work = (grant: Grant): Observable<number> => {
          const hasEnded = told.cluster.random() < 0.3;
          if (hasEnded) {
            subscriber.complete();
            outer.unsubscribe();
          }
          return new Observable<number>((worker) => {
            if (hasEnded) told.breaks('work that has ended is begun', `${name} begins it`);
            ended.set(name, grant);
            worker.add(timer(50).subscribe(worker));
            worker.add(() => ended.delete(name));
          });
        };
        outer.add(withLock(backend, 'ended', work).subscribe(subscriber));
      }),
  );
}

/** Counts in a cell, each process for itself, and knows how often it has counted. */
function counts(told: Told, name: string, backend: Backend): void {
  let mine: number | undefined = 0;
  again(250, () =>
    backend.cell('count').pipe(
      take(1),
      switchMap((current) => {
        const counts = (current === undefined ? {} : jsonCodec.decode(current.value)) as Record<string, number>;
        const counted = counts[name] ?? 0;
        if (mine !== undefined && counted !== mine && !told.isDataLost)
          told.breaks('a write is repeated and undoes what came since', `${name} has counted ${mine}, not ${counted}`);
        mine = undefined;
        const next = jsonCodec.encode({ ...counts, [name]: counted + 1 });
        return backend.swap('count', current?.version ?? 'absent', next).pipe(
          tap(({ swapped }) => {
            mine = counted + (swapped ? 1 : 0);
          }),
        );
      }),
    ),
  );
}

/** Writes a value of its own over whatever there is; nobody ever sees the same value come back. */
function overwrites(told: Told, name: string, backend: Backend): void {
  let written = 0;
  again(400, () => backend.swap('any', 'any', jsonCodec.encode(`${name}${++written}`)));
  const versions = new Map<unknown, bigint>();
  backend.cell('any').subscribe((current) => {
    if (current === undefined) return;
    const value = jsonCodec.decode(current.value);
    const known = versions.get(value) ?? current.version;
    if (known !== current.version)
      told.breaks('a write is repeated and undoes what came since', `${name} sees ${value} come back`);
    versions.set(value, known);
  });
}

/** Holds a lock that others break, and breaks it itself. */
function breaks(told: Told, name: string, backend: Backend): void {
  let mine = '';
  lock(backend, 'broken')
    .pipe(
      tap(({ id }) => {
        mine = id;
        told.held = id;
      }),
      retry({
        delay: (error) => {
          if (error instanceof LockLost && error.reason === 'evicted') told.evicted.add(mine);
          return error instanceof LockLost ? timer(10) : EMPTY;
        },
      }),
    )
    .subscribe();
  again(250 + 100 * NAMES.indexOf(name as 'a'), () => {
    const { held } = told;
    if (held === undefined) return EMPTY;
    const breaking = told.breaking.get(held) ?? { unknown: 0, hasBroken: false };
    told.breaking.set(held, breaking);
    breaking.unknown++;
    return backend.evict({ kind: 'lock', name: 'broken' }, held).pipe(
      tap((hasBroken) => {
        breaking.unknown--;
        breaking.hasBroken ||= hasBroken;
      }),
    );
  });
}

/** Makes a group and deletes it, as the others do. */
function foundsAndDeletes(told: Told, backend: Backend): void {
  const group = { kind: 'group', name: 'founded' } as const;
  again(150, () => {
    if (told.cluster.random() < 0.5)
      return backend.register(group).pipe(
        tap((isMade) => {
          if (isMade) told.made++;
        }),
      );
    told.removing++;
    return backend.unregister(group).pipe(
      tap((outcome) => {
        told.removing--;
        if (outcome === 'removed') told.removed++;
      }),
    );
  });
}

/** Opens a gate for a moment whenever it is told something; the lead that it goes by is shared. */
function opensGates(told: Told, backend: Backend): void {
  let lead: Option<Grant> = none;
  const lead$ = campaign(backend, 'gated').pipe(
    tap((now) => {
      lead = now;
    }),
    share({ connector: () => new ReplaySubject<Option<Grant>>(1), resetOnRefCountZero: true }),
  );
  lead$.subscribe();
  const source = defer(() => {
    const grant = isSome(lead) ? lead.value : undefined;
    if (grant?.isValid() === false)
      told.breaks('a gate opens although the loss is due', `the lead with token ${grant.token} is not valid`);
    return of(undefined);
  });
  backend.cell('any').subscribe(() => {
    source
      .pipe(whileTrue(lead$.pipe(map(isSome))), take(1))
      .subscribe()
      .unsubscribe();
  });
}

/** Is a member, and sees just those whom the store has told of. */
function watchesMembers(told: Told, name: string, backend: Backend): void {
  join(backend, 'watched', { id: name, create: true }).subscribe();
  let there: ReadonlySet<unknown> = new Set();
  const watched: Backend = {
    ...backend,
    entries: (roster) =>
      backend.entries(roster).pipe(
        tap((entries) => {
          there = new Set(entries.map(({ payload }) => (jsonCodec.decode(payload) as { id: string }).id));
        }),
      ),
  };
  members(watched, 'watched').subscribe((ids) => {
    for (const one of there)
      if (!ids.has(String(one)))
        told.breaks(
          'a set of members is without somebody who is there',
          `${name} sees {${[...ids].join()}}, without ${one}`,
        );
  });
}

/** Works under a lock in what cannot be told to stop; two of three close their backend in the midst of it, perhaps. */
function worksWhileClosing(told: Told, name: string, backend: Backend): void {
  const { closing } = told.working;
  const work = (grant: Grant): PromiseLike<number> => {
    closing.set(name, grant);
    const settled = new ReplaySubject<number>(1);
    timer(20 + told.cluster.random() * 2_500).subscribe(() => {
      closing.delete(name);
      settled.next(1);
    });
    return thenable(settled);
  };
  let isClosed = false;
  const once = (): Observable<number> =>
    defer(() => withLock(backend, 'closing', work)).pipe(
      tap({
        error: () => closing.delete(name),
        finalize: () => {
          if (isClosed) told.ended.add(name);
        },
      }),
    );
  again(30, once);
  if (name === 'a' || told.cluster.random() < 0.5) return;
  timer(500 + told.cluster.random() * 3_000).subscribe(() => {
    isClosed = true;
    told.closedAtMs.set(name, told.cluster.now());
    void backend.close();
    if (!closing.has(name)) told.ended.add(name);
  });
}

/** A promise that settles in virtual time. */
function thenable<T>(settled$: Observable<T>): PromiseLike<T> {
  return {
    // biome-ignore lint/suspicious/noThenProperty: a promise of the simulation, where none settles by itself
    then: (resolved) => {
      settled$.subscribe((value) => void resolved?.(value));
      return thenable(settled$) as PromiseLike<never>;
    },
  };
}
