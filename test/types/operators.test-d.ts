import {
  campaign,
  exclusiveMap,
  type Grant,
  hashRing,
  join,
  lock,
  type MembershipChange,
  memberMap,
  members,
  membershipChanges,
  ownedBy,
  type Ring,
  retryWithBackoff,
  settled,
  whileLeader,
  whileLocked,
  whileMember,
  whileOwner,
  whileQuorum,
  whileTrue,
} from 'conclave';
import { memory } from 'conclave/memory';
import { interval, type MonoTypeOperatorFunction, map, type Observable, type OperatorFunction, of } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';

const backend = memory();
const leads = of(true);
interface Job {
  readonly id: number;
}
const jobs: Observable<Job> = of({ id: 1 });

describe('gates', () => {
  it('keep the type of the source', () => {
    expectTypeOf(jobs.pipe(whileTrue(leads))).toEqualTypeOf<Observable<Job>>();
    expectTypeOf(jobs.pipe(whileLeader(leads))).toEqualTypeOf<Observable<Job>>();
    expectTypeOf(jobs.pipe(whileLocked(lock(backend, 'l')))).toEqualTypeOf<Observable<Job>>();
    expectTypeOf(interval(1).pipe(whileLeader(leads))).toEqualTypeOf<Observable<number>>();
  });

  it('keep it in the midst of a pipe', () => {
    const piped = interval(1).pipe(
      map(String),
      whileLeader(leads, { onLoss: 'complete' }),
      map((text) => text.length),
    );
    expectTypeOf(piped).toEqualTypeOf<Observable<number>>();
  });

  it('can be made for a type ahead', () => {
    expectTypeOf(whileLeader<Job>(leads)).toEqualTypeOf<MonoTypeOperatorFunction<Job>>();
  });

  it('take nothing but booleans for a gate, and grants for a lock', () => {
    // @ts-expect-error: a campaign emits options, which are all truthy
    whileLeader(campaign(backend, 'e'));
    // @ts-expect-error: numbers are no gate
    whileTrue(of(1));
    // @ts-expect-error: a boolean is no grant
    whileLocked(leads);
    whileLocked(of({ isValid: () => true }));
  });

  it('take only what onLoss may be', () => {
    whileTrue(leads, { onLoss: 'resubscribe' });
    whileTrue(leads, {});
    // @ts-expect-error: there is no such thing
    whileTrue(leads, { onLoss: 'retry' });
    // @ts-expect-error: undefined is not leaving it out
    whileLeader(leads, { onLoss: undefined });
    // @ts-expect-error: only the gate kernel can be given a question
    whileLeader(leads, { isOpen: () => true });
  });
});

describe('the other operators', () => {
  it('keep the type of the source, or say what they make of it', () => {
    expectTypeOf(jobs.pipe(settled(5))).toEqualTypeOf<Observable<Job>>();
    expectTypeOf(jobs.pipe(retryWithBackoff({ tries: 2 }))).toEqualTypeOf<Observable<Job>>();
    expectTypeOf(lock(backend, 'l').pipe(retryWithBackoff())).toEqualTypeOf<Observable<Grant>>();
    expectTypeOf(members(backend, 'g').pipe(membershipChanges())).toEqualTypeOf<Observable<MembershipChange>>();
    expectTypeOf(memberMap(backend, 'g').pipe(membershipChanges())).toEqualTypeOf<Observable<MembershipChange>>();
    expectTypeOf(membershipChanges()).toExtend<OperatorFunction<ReadonlySet<string>, MembershipChange>>();
  });

  it('give sets that cannot be written to', () => {
    expectTypeOf<MembershipChange['joined']>().toEqualTypeOf<ReadonlySet<string>>();
    expectTypeOf<MembershipChange['left']>().not.toHaveProperty('add');
  });

  it('refuse what they cannot work on', () => {
    // @ts-expect-error: changes are made of sets of strings
    of(new Set([1])).pipe(membershipChanges());
    // @ts-expect-error: how long is quiet?
    settled();
    // @ts-expect-error: options that are not there
    retryWithBackoff({ attempts: 3 });
    // @ts-expect-error: undefined is not leaving it out
    retryWithBackoff({ tries: undefined });
  });
});

describe('what shares work', () => {
  const ring$ = hashRing(members(backend, 'g'));

  it('makes rings of sets and of maps, whose values weigh', () => {
    expectTypeOf(ring$).toEqualTypeOf<Observable<Ring>>();
    hashRing(memberMap(backend, 'g'), {
      weights: (_, member) => {
        expectTypeOf(member?.capabilities).toEqualTypeOf<unknown>();
        return member?.id.length ?? 1;
      },
    });
    expectTypeOf<ReturnType<Ring['ownerOf']>>().toEqualTypeOf<string | undefined>();
    expectTypeOf<Ring['members']>().not.toHaveProperty('set');
    // @ts-expect-error: ids are strings
    hashRing(of(new Set([1])));
    // @ts-expect-error: an option that is not there
    hashRing(members(backend, 'g'), { replicas: 2 });
  });

  it('keeps the type of the source', () => {
    expectTypeOf(jobs.pipe(ownedBy(ring$, 'me', ({ id }) => String(id)))).toEqualTypeOf<Observable<Job>>();
    expectTypeOf(jobs.pipe(whileOwner(ring$, 'me', 'k'))).toEqualTypeOf<Observable<Job>>();
    expectTypeOf(jobs.pipe(whileMember(join(backend, 'g')))).toEqualTypeOf<Observable<Job>>();
    expectTypeOf(jobs.pipe(whileQuorum(members(backend, 'g'), 2))).toEqualTypeOf<Observable<Job>>();
    // @ts-expect-error: a number is no key
    jobs.pipe(ownedBy(ring$, 'me', ({ id }) => id));
    // @ts-expect-error: a set is no membership
    whileMember(members(backend, 'g'));
  });

  it('gives what the work gives', () => {
    const done = jobs.pipe(
      exclusiveMap(
        backend,
        ({ id }) => `job-${id}`,
        async ({ id }, grant) => [id, grant.token] as const,
      ),
    );
    expectTypeOf(done).toEqualTypeOf<Observable<readonly [number, bigint]>>();
    const numberOf = ({ id }: Job): number => id;
    // @ts-expect-error: a lock has a name
    exclusiveMap(backend, numberOf, () => of(1));
  });
});
