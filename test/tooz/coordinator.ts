import {
  BehaviorSubject,
  combineLatest,
  debounceTime,
  filter,
  firstValueFrom,
  lastValueFrom,
  map,
  merge,
  ReplaySubject,
  Subject,
  type Subscription,
  startWith,
} from 'rxjs';
import {
  type Acquired,
  acquire,
  type Backend,
  breakLock,
  Contended,
  campaign,
  connect,
  createGroup,
  deleteGroup,
  evictMember,
  type Grant,
  groups,
  isSome,
  join,
  type Lead,
  LockNotAcquired,
  leader,
  lock,
  type Member,
  type Membership,
  type MembershipChange,
  memberMap,
  members,
  membershipChanges,
  status,
  toUndefined,
  tryLock,
} from '../../src/index.js';

/** How long a store that does not answer is tried when a coordinator starts. */
const FAIL_FAST_MS = 10_000;

/** What tooz calls it; conclave says `false`, or shows no such member. */
class MemberNotJoined extends Error {
  override readonly name = 'MemberNotJoined';
  constructor(group: string, member: string) {
    super(`Member ${JSON.stringify(member)} is not in group ${JSON.stringify(group)}.`);
  }
}

/** What is done while a member: the latest membership, and the capabilities to come. */
interface Stay {
  readonly membership$: ReplaySubject<Membership>;
  readonly capabilities$: BehaviorSubject<string>;
}

/** What is kept of a watched group: who is there, and what has not been asked for. */
interface Watch {
  readonly members$: ReplaySubject<ReadonlyMap<string, Member>>;
  readonly changes: MembershipChange[];
  readonly subscription: Subscription;
}

/** One who stands in an election. */
interface Candidacy {
  /** Told apart by it from others of the same member id. */
  readonly candidate: string;
  readonly lead$: BehaviorSubject<Lead | undefined>;
  readonly subscription: Subscription;
}

interface CandidateData {
  readonly member: string;
  readonly candidate: string;
}

/**
 * A coordinator of tooz, made of what conclave exports. Arguments and results are what JSON can carry: an acquired lock is a
 * number, a token is a string.
 */
export class Coordinator {
  readonly #backend: Backend;
  readonly #member: string;
  readonly #stays = new Map<string, Stay>();
  readonly #watches = new Map<string, Watch>();
  readonly #candidacies = new Map<string, Candidacy>();
  readonly #held = new Map<number, Acquired<Grant>>();
  readonly #beats = new Subject<void>();
  #grants = 0;

  private constructor(backend: Backend, member: string) {
    this.#backend = backend;
    this.#member = member;
  }

  /** With `timeoutS`, who does not beat for so long is closed. */
  static async connect(url: string, member: string, timeoutS: number | null): Promise<Coordinator> {
    const backend = connect(url, { failFastMs: FAIL_FAST_MS });
    backend.faults$.subscribe((fault) => console.error(`${member} at ${url}: ${fault.name}: ${fault.message}`));
    try {
      await untilLive(backend);
      const coordinator = new Coordinator(backend, member);
      if (timeoutS !== null) coordinator.#closeAfterSilence(timeoutS * 1_000);
      return coordinator;
    } catch (error) {
      await backend.close();
      throw error;
    }
  }

  #closeAfterSilence(timeoutMs: number): void {
    this.#beats.pipe(startWith(undefined), debounceTime(timeoutMs)).subscribe(() => this.#backend.close());
  }

  /** Rejects where it is closed by now. */
  async beat(): Promise<void> {
    this.#beats.next();
    await untilLive(this.#backend);
  }

  async close(): Promise<void> {
    this.#beats.complete();
    await this.#backend.close();
  }

  async createGroup(group: string): Promise<void> {
    await lastValueFrom(createGroup(this.#backend, group));
  }

  async deleteGroup(group: string, force: boolean): Promise<void> {
    await lastValueFrom(deleteGroup(this.#backend, group, { force }));
  }

  async groups(): Promise<readonly string[]> {
    return [...(await firstValueFrom(groups(this.#backend)))];
  }

  async join(group: string, capabilities: string): Promise<void> {
    const membership$ = new ReplaySubject<Membership>(1);
    const capabilities$ = new BehaviorSubject(capabilities);
    join(this.#backend, group, { id: this.#member, capabilities: capabilities$ }).subscribe(membership$);
    await firstValueFrom(membership$);
    const stay: Stay = { membership$, capabilities$ };
    this.#stays.set(group, stay);
    const forget = (): void => {
      if (this.#stays.get(group) === stay) this.#stays.delete(group);
    };
    membership$.subscribe({
      error: (error) => {
        forget();
        console.error(String(error));
      },
      complete: forget,
    });
  }

  /** Whoever is there under this coordinator's member id, it leaves. */
  async leave(group: string): Promise<void> {
    const stay = this.#stays.get(group);
    const left$ =
      stay === undefined
        ? evictMember(this.#backend, group, this.#member)
        : (await firstValueFrom(stay.membership$)).leave();
    if (!(await lastValueFrom(left$))) throw new MemberNotJoined(group, this.#member);
  }

  async update(group: string, capabilities: string): Promise<void> {
    const stay = this.#stays.get(group);
    if (stay === undefined) throw new MemberNotJoined(group, this.#member);
    stay.capabilities$.next(capabilities);
    const { stored$ } = await firstValueFrom(stay.membership$);
    await firstValueFrom(stored$.pipe(filter((stored) => stored === capabilities)));
  }

  async members(group: string): Promise<readonly string[]> {
    return [...(await firstValueFrom(members(this.#backend, group, { required: true })))];
  }

  async member(group: string, id: string): Promise<{ readonly capabilities: unknown; readonly token: string }> {
    const member = (await firstValueFrom(memberMap(this.#backend, group, { required: true }))).get(id);
    if (member === undefined) throw new MemberNotJoined(group, id);
    return { capabilities: member.capabilities, token: `${member.token}` };
  }

  async watch(group: string): Promise<void> {
    await firstValueFrom(members(this.#backend, group, { required: true }));
    const members$ = new ReplaySubject<ReadonlyMap<string, Member>>(1);
    const changes: MembershipChange[] = [];
    members$.pipe(membershipChanges({ initial: false })).subscribe({
      next: (change) => changes.push(change),
      // Who asks for the changes is told of it, by the same stream.
      error: () => {},
    });
    // A group that is deleted is one that all have left.
    const subscription = memberMap(this.#backend, group).subscribe(members$);
    this.#watches.set(group, { members$, changes, subscription });
    await firstValueFrom(members$);
  }

  async unwatch(group: string): Promise<void> {
    this.#watches.get(group)?.subscription.unsubscribe();
    this.#watches.delete(group);
  }

  /** What has happened since it was asked the last time: up to what somebody sees who looks now. */
  async changes(group: string): Promise<readonly object[]> {
    const watch = this.#watches.get(group);
    if (watch === undefined) throw new Error(`group ${JSON.stringify(group)} is not watched`);
    const now$ = memberMap(this.#backend, group);
    await firstValueFrom(combineLatest([watch.members$, now$]).pipe(filter(([a, b]) => areSame(a, b))));
    return watch.changes.splice(0).map(({ joined, left }) => ({ joined: [...joined], left: [...left] }));
  }

  /** Stands, if it does not yet. The token of the lead, or nothing when another leads. */
  async elect(group: string): Promise<string | undefined> {
    const { candidate, lead$ } = this.#candidacies.get(group) ?? this.#stand(group);
    const leads$ = lead$.pipe(
      filter((lead) => lead !== undefined),
      map(({ token }) => `${token}`),
    );
    const another$ = leader(this.#backend, group).pipe(
      filter((who) => isSome(who) && candidateIn(toUndefined(who.value.data)).candidate !== candidate),
      map(() => undefined),
    );
    return firstValueFrom(merge(leads$, another$));
  }

  #stand(group: string): Candidacy {
    const candidate = this.#backend.newId();
    const lead$ = new BehaviorSubject<Lead | undefined>(undefined);
    const data: CandidateData = { member: this.#member, candidate };
    const subscription = campaign(this.#backend, group, { data }).pipe(map(toUndefined)).subscribe(lead$);
    const candidacy: Candidacy = { candidate, lead$, subscription };
    this.#candidacies.set(group, candidacy);
    return candidacy;
  }

  async withdraw(group: string): Promise<void> {
    this.#candidacies.get(group)?.subscription.unsubscribe();
    this.#candidacies.delete(group);
  }

  async standDown(group: string): Promise<boolean> {
    const lead = this.#candidacies.get(group)?.lead$.value;
    return lead === undefined ? false : lastValueFrom(lead.standDown());
  }

  async leader(group: string): Promise<string | undefined> {
    const who = toUndefined(await firstValueFrom(leader(this.#backend, group)));
    return who && candidateIn(toUndefined(who.data)).member;
  }

  /** `blocking`: for ever, not at all, or for so many seconds. */
  async acquire(name: string, blocking: boolean | number, shared: boolean): Promise<number | undefined> {
    const mode = shared ? 'shared' : 'exclusive';
    try {
      const grant = await acquire(
        blocking === false
          ? tryLock(this.#backend, name, { mode })
          : lock(this.#backend, name, { mode, ...(blocking !== true && { waitMs: blocking * 1_000 }) }),
      );
      const id = ++this.#grants;
      this.#held.set(id, grant);
      return id;
    } catch (error) {
      if (error instanceof Contended || error instanceof LockNotAcquired) return undefined;
      throw error;
    }
  }

  async isHeld(grant: number): Promise<boolean> {
    return this.#held.get(grant)?.isValid() ?? false;
  }

  async release(grant: number): Promise<boolean> {
    const held = this.#held.get(grant);
    this.#held.delete(grant);
    return held === undefined ? false : held.release();
  }

  async breakLock(name: string): Promise<boolean> {
    return lastValueFrom(breakLock(this.#backend, name));
  }
}

function untilLive(backend: Backend): Promise<unknown> {
  return firstValueFrom(status(backend).pipe(filter(({ state }) => state === 'live')));
}

function areSame(a: ReadonlyMap<string, Member>, b: ReadonlyMap<string, Member>): boolean {
  return a.size === b.size && [...a].every(([id, { token }]) => b.get(id)?.token === token);
}

function candidateIn(data: unknown): Partial<CandidateData> {
  return typeof data === 'object' && data !== null ? data : {};
}
