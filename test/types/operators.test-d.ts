import {
  campaign,
  type Grant,
  lock,
  type MembershipChange,
  memberMap,
  members,
  membershipChanges,
  retryWithBackoff,
  settled,
  whileLeader,
  whileLocked,
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
