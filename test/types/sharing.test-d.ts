import {
  type Backend,
  type Grant,
  itemLockName,
  type PartitionOptions,
  partition,
  type SharedItems,
  withPartition,
} from 'conclave';
import { memory } from 'conclave/memory';
import { type Observable, of } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';

const backend: Backend = memory();

describe('what is divided', () => {
  it('is told as a map that one only reads', () => {
    expectTypeOf(partition(backend, 'g', ['a'])).toEqualTypeOf<Observable<ReadonlyMap<string, Grant>>>();
    expectTypeOf(partition(backend, 'g', of(['a']))).toEqualTypeOf<Observable<ReadonlyMap<string, Grant>>>();
    expectTypeOf(itemLockName('g', 'a')).toEqualTypeOf<string>();
    expectTypeOf<SharedItems>().toEqualTypeOf<readonly string[] | Observable<readonly string[]>>();
    // @ts-expect-error: names are strings
    partition(backend, 'g', [1]);
    // @ts-expect-error: one name is no list
    partition(backend, 'g', 'a');
  });

  it('emits what the work emits, whichever form it has', () => {
    expectTypeOf(withPartition(backend, 'g', ['a'], (item, { token }) => of({ item, token }))).toEqualTypeOf<
      Observable<{ item: string; token: bigint }>
    >();
    expectTypeOf(withPartition(backend, 'g', ['a'], async (item) => item.length)).toEqualTypeOf<Observable<number>>();
    // @ts-expect-error: where is the work?
    withPartition(backend, 'g', ['a']);
  });

  it('has options that are known, and no others', () => {
    partition(backend, 'g', ['a'], {
      id: 'm1',
      capabilities: { cores: 4 },
      strategy: 'round-robin',
      settledMs: 500,
      weights: (id, member) => {
        expectTypeOf(member.capabilities).toEqualTypeOf<unknown>();
        return id.length;
      },
    });
    expectTypeOf<PartitionOptions['strategy']>().toEqualTypeOf<'sticky' | 'round-robin' | 'hash' | undefined>();
    // @ts-expect-error: no such strategy
    partition(backend, 'g', ['a'], { strategy: 'fair' });
    // @ts-expect-error: a weight is a number
    partition(backend, 'g', ['a'], { weights: () => 'much' });
    // @ts-expect-error: undefined is not leaving it out
    partition(backend, 'g', ['a'], { settledMs: undefined });
  });
});
