import {
  type Backend,
  breakLock,
  type Contended,
  type Contender,
  campaign,
  candidates,
  createGroup,
  deleteGroup,
  type Grant,
  groups,
  handOver,
  holders,
  type JoinOptions,
  join,
  type Lead,
  type LeadershipState,
  leader,
  leadership,
  leadershipState,
  lock,
  type Member,
  type Membership,
  memberMap,
  members,
  type Status,
  schedule,
  scheduleHistory,
  status,
  type TickEvent,
  type TickRecord,
  tryLock,
  withLeadership,
  withLock,
} from 'conclave';
import { memory } from 'conclave/memory';
import { type Either, isRight } from 'fp-ts/lib/Either.js';
import { isSome, type Option } from 'fp-ts/lib/Option.js';
import { type Observable, of } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';

const backend: Backend = memory();

describe('what is held', () => {
  it('lock emits grants, tryLock one of two', () => {
    expectTypeOf(lock(backend, 'l')).toEqualTypeOf<Observable<Grant>>();
    expectTypeOf(tryLock(backend, 'l')).toEqualTypeOf<Observable<Either<Contended, Grant>>>();
    tryLock(backend, 'l').subscribe((tried) => {
      if (isRight(tried)) expectTypeOf(tried.right.token).toEqualTypeOf<bigint>();
      else expectTypeOf(tried.left).toEqualTypeOf<Contended>();
    });
  });

  it('leadership emits booleans, campaign grants or none', () => {
    expectTypeOf(leadership(backend, 'e')).toEqualTypeOf<Observable<boolean>>();
    expectTypeOf(campaign(backend, 'e', { data: 1 })).toEqualTypeOf<Observable<Option<Lead>>>();
  });

  it('a state of leadership is told apart by its name', () => {
    expectTypeOf(leadershipState(backend, 'e', { priority: 1 })).toEqualTypeOf<Observable<LeadershipState>>();
    expectTypeOf<LeadershipState['state']>().toEqualTypeOf<'unknown' | 'follower' | 'leader' | 'uncertain'>();
    leadershipState(backend, 'e').subscribe((now) => {
      if (now.state === 'leader') expectTypeOf(now.grant).toEqualTypeOf<Lead>();
      if (now.state === 'uncertain') expectTypeOf(now.untilMs).toEqualTypeOf<number>();
      if (now.state === 'follower') expectTypeOf(now.leader).toEqualTypeOf<Option<Contender>>();
      // @ts-expect-error: who waits has no grant
      return now.state === 'follower' ? now.grant : undefined;
    });
  });

  it('a lead can be handed over, and data be an Observable', () => {
    expectTypeOf<Lead['standDown']>().returns.toEqualTypeOf<Observable<boolean>>();
    expectTypeOf(handOver(backend, 'e', 'pod-0')).toEqualTypeOf<Observable<Contender>>();
    campaign(backend, 'e', { data: of(1), priority: 1, holdDownMs: 5, id: 'pod-0', takeOver: true });
    // @ts-expect-error: undefined is not leaving it out
    campaign(backend, 'e', { priority: undefined });
  });

  it('a grant can be asked, and not written to', () => {
    expectTypeOf<Grant['isValid']>().returns.toEqualTypeOf<boolean>();
    expectTypeOf<Grant['signal']>().toEqualTypeOf<AbortSignal>();
    lock(backend, 'l').subscribe((grant) => {
      // @ts-expect-error: tokens are given, not made
      grant.token = 1n;
      // @ts-expect-error: a token is a bigint, and is not added to a number
      return grant.token + 1;
    });
  });

  it('tryLock does not wait', () => {
    tryLock(backend, 'l', { data: 'me' });
    // @ts-expect-error: so it has no waitMs
    tryLock(backend, 'l', { waitMs: 5 });
  });

  it('options that are left out are not undefined', () => {
    lock(backend, 'l', { waitMs: 5 });
    // @ts-expect-error: undefined is not leaving it out
    lock(backend, 'l', { waitMs: undefined });
    // @ts-expect-error: a duration is a number
    lock(backend, 'l', { waitMs: '5' });
    // @ts-expect-error: the name says which
    lock(backend);
  });
});

describe('withLock', () => {
  it('emits what the work does: a promise, an Observable, an iterable', () => {
    expectTypeOf(withLock(backend, 'l', async () => 'done')).toEqualTypeOf<Observable<string>>();
    expectTypeOf(withLock(backend, 'l', () => Promise.resolve(1))).toEqualTypeOf<Observable<number>>();
    expectTypeOf(withLock(backend, 'l', () => of({ a: 1 }))).toEqualTypeOf<Observable<{ a: number }>>();
    expectTypeOf(withLock(backend, 'l', () => [1, 2])).toEqualTypeOf<Observable<number>>();
    expectTypeOf(withLock(backend, 'l', () => new Set(['a']))).toEqualTypeOf<Observable<string>>();
    expectTypeOf(withLock(backend, 'l', async () => undefined)).toEqualTypeOf<Observable<undefined>>();
  });

  it('gives the grant to the work', () => {
    withLock(backend, 'l', (grant) => {
      expectTypeOf(grant).toEqualTypeOf<Grant>();
      return [];
    });
  });

  it('wants work that can be waited for', () => {
    // @ts-expect-error: a number is over before it has begun
    withLock(backend, 'l', () => 1);
    // @ts-expect-error: nothing to wait for
    withLock(backend, 'l', () => undefined);
    // @ts-expect-error: work is a function, or it would run before the lock is held
    withLock(backend, 'l', of(1));
  });
});

describe('withLeadership', () => {
  it('emits what the work does, and gives it the grant', () => {
    expectTypeOf(withLeadership(backend, 'e', async () => 'done')).toEqualTypeOf<Observable<string>>();
    expectTypeOf(withLeadership(backend, 'e', () => of({ a: 1 }), { data: 'me' })).toEqualTypeOf<
      Observable<{ a: number }>
    >();
    expectTypeOf(withLeadership(backend, 'e', () => [1, 2])).toEqualTypeOf<Observable<number>>();
    withLeadership(backend, 'e', (grant) => {
      expectTypeOf(grant).toEqualTypeOf<Lead>();
      expectTypeOf(grant.draining).toEqualTypeOf<AbortSignal>();
      return [];
    });
  });

  it('wants work that can be waited for, and waits for ever to lead', () => {
    // @ts-expect-error: nothing to wait for
    withLeadership(backend, 'e', () => undefined);
    // @ts-expect-error: work is a function, or it would run before one leads
    withLeadership(backend, 'e', of(1));
    // @ts-expect-error: no such option
    withLeadership(backend, 'e', () => [], { waitMs: 5 });
  });
});

describe('groups', () => {
  it('join emits memberships', () => {
    expectTypeOf(join(backend, 'g')).toEqualTypeOf<Observable<Membership>>();
    expectTypeOf<Membership['token']>().toEqualTypeOf<bigint>();
  });

  it('join takes capabilities of any kind, also as an Observable', () => {
    join(backend, 'g', { id: 'm', capabilities: { zone: 'a' }, create: true });
    join(backend, 'g', { capabilities: of({ zone: 'a' }) });
    expectTypeOf<JoinOptions['capabilities']>().toBeUnknown();
  });

  it('join takes nothing else', () => {
    // @ts-expect-error: an id is a string
    join(backend, 'g', { id: 1 });
    // @ts-expect-error: undefined is not leaving it out
    join(backend, 'g', { id: undefined });
    // @ts-expect-error: undefined is not leaving it out
    join(backend, 'g', { create: undefined });
    // @ts-expect-error: it is called create
    join(backend, 'g', { createGroup: true });
  });

  it('are looked at through sets and maps that cannot be written to', () => {
    expectTypeOf(members(backend, 'g')).toEqualTypeOf<Observable<ReadonlySet<string>>>();
    expectTypeOf(memberMap(backend, 'g')).toEqualTypeOf<Observable<ReadonlyMap<string, Member>>>();
    expectTypeOf(groups(backend)).toEqualTypeOf<Observable<ReadonlySet<string>>>();
    expectTypeOf<Member['capabilities']>().toBeUnknown();
  });

  it('are created and deleted without a value', () => {
    expectTypeOf(createGroup(backend, 'g')).toEqualTypeOf<Observable<void>>();
    expectTypeOf(deleteGroup(backend, 'g')).toEqualTypeOf<Observable<void>>();
  });
});

describe('who is in line', () => {
  it('is told in lists that cannot be written to', () => {
    expectTypeOf(holders(backend, 'l')).toEqualTypeOf<Observable<readonly Contender[]>>();
    expectTypeOf(candidates(backend, 'e')).toEqualTypeOf<Observable<readonly Contender[]>>();
    expectTypeOf(breakLock(backend, 'l')).toEqualTypeOf<Observable<boolean>>();
  });

  it('is one or none', () => {
    expectTypeOf(leader(backend, 'e')).toEqualTypeOf<Observable<Option<Contender>>>();
    leader(backend, 'e').subscribe((first) => {
      if (isSome(first)) expectTypeOf(first.value.data).toEqualTypeOf<Option<unknown>>();
      // @ts-expect-error: there may be none
      return first.value;
    });
  });
});

describe('status', () => {
  it('is told apart by state', () => {
    expectTypeOf(status(backend)).toEqualTypeOf<Observable<Status>>();
    expectTypeOf<Status['state']>().toEqualTypeOf<
      'connecting' | 'live' | 'suspended' | 'lost' | 'draining' | 'closed'
    >();
    status(backend).subscribe((now) => {
      if (now.state === 'connecting') expectTypeOf(now.attempt).toEqualTypeOf<number>();
      if (now.state === 'lost') expectTypeOf(now.cause._tag).toEqualTypeOf<string>();
      if (now.state === 'live') {
        expectTypeOf(now.id).toEqualTypeOf<string>();
        // @ts-expect-error: a session that is live has no cause
        return now.cause;
      }
      // @ts-expect-error: one that is closed has no id
      return now.state === 'closed' ? now.id : undefined;
    });
  });
});

describe('schedule', () => {
  it('emits what the work emits last, when it is done', () => {
    const event$ = schedule(backend, 'job', '0 3 * * *', async ({ date, attempt }, { token }) => {
      expectTypeOf(date).toEqualTypeOf<Date>();
      expectTypeOf(attempt).toEqualTypeOf<number>();
      return token;
    });
    expectTypeOf(event$).toEqualTypeOf<Observable<TickEvent<bigint>>>();
    event$.subscribe((event) => {
      if (event.kind === 'done') expectTypeOf(event.value).toEqualTypeOf<bigint | undefined>();
      if (event.kind === 'missed') expectTypeOf(event.since).toEqualTypeOf<Date>();
      // @ts-expect-error: only what has failed has an error
      event.error;
    });
    schedule(backend, 'job', { everyMs: 1_000 }, () => of(1), { overlap: 'queue', missed: 'all' });
    schedule(backend, 'job', of(new Date()), () => of(1));
    // @ts-expect-error: a number says no unit
    schedule(backend, 'job', 1_000, () => of(1));
    // @ts-expect-error: no such way
    schedule(backend, 'job', '* * * * *', () => of(1), { overlap: 'both' });
    expectTypeOf(scheduleHistory(backend, 'job')).toEqualTypeOf<Observable<readonly TickRecord[]>>();
  });
});
