import {
  type AuthenticationFailed,
  type Backend,
  type BackendClosed,
  type ConnectOptions,
  CoordinationError,
  closeOnSignals,
  connect,
  type GroupNotFound,
  type LockLost,
  LockNotAcquired,
  lock,
  type Place,
} from 'conclave';
import { type MemoryOptions, memory } from 'conclave/memory';
import type { Observable } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';

describe('Backend', () => {
  it('is not implemented by a part of it', () => {
    const partial = { name: 'mine', close: () => Promise.resolve() };
    // @ts-expect-error: streams, clock, codec and more are missing
    const backend: Backend = partial;
    // @ts-expect-error: likewise
    lock({}, 'l');
    const { reportFault, ...rest } = memory();
    // @ts-expect-error: reportFault is missing
    const silent: Backend = rest;
    return [backend, silent, reportFault];
  });

  it('is disposable', () => {
    expectTypeOf<Backend>().toExtend<AsyncDisposable>();
    expectTypeOf<Backend['close']>().returns.toEqualTypeOf<Promise<void>>();
  });

  it('cannot be written to', () => {
    const backend = memory();
    // @ts-expect-error: its name is its own
    backend.name = 'other';
    // @ts-expect-error: what it promises is its own
    backend.characteristics.fair = false;
  });

  it('has faults that are listened to, not written', () => {
    expectTypeOf<Backend['faults$']>().toEqualTypeOf<Observable<CoordinationError>>();
  });

  it('gives places that can be asked', () => {
    expectTypeOf<ReturnType<Backend['enter']>>().toEqualTypeOf<Observable<Place>>();
    expectTypeOf<Place['isValid']>().returns.toEqualTypeOf<boolean>();
  });

  it('stands in line by mode, permits and payload, all of them', () => {
    const key = { kind: 'lock', name: 'l' } as const;
    const wish = { mode: 'exclusive', permits: 1, payload: new Uint8Array() } as const;
    memory().enter(key, wish);
    // @ts-expect-error: no such mode
    memory().enter(key, { ...wish, mode: 'both' });
    // @ts-expect-error: no payload
    memory().enter(key, { mode: 'exclusive', permits: 1 });
    // @ts-expect-error: no such kind
    memory().enter({ kind: 'queue', name: 'l' }, wish);
    // @ts-expect-error: undefined is not leaving it out
    memory().enter(key, { ...wish, wait: undefined });
  });
});

describe('closing', () => {
  it('takes a drain, or nothing', () => {
    expectTypeOf(memory().close()).toEqualTypeOf<Promise<void>>();
    memory().close({ drainMs: 20_000 });
    memory().close({ drainMs: undefined });
    // @ts-expect-error: a duration is a number
    memory().close({ drainMs: '20s' });
    // @ts-expect-error: no such option
    memory().close({ timeoutMs: 5 });
    process.once('SIGTERM', memory().close);
    closeOnSignals(memory(), { drainMs: 20_000, signals: ['SIGTERM'], forceAfter: 2 });
    // @ts-expect-error: no process ends by this one
    closeOnSignals(memory(), { signals: ['SIGKILL'] });
  });
});

describe('making one', () => {
  it('gives a Backend', () => {
    expectTypeOf(connect('memory:')).toEqualTypeOf<Backend>();
    expectTypeOf(memory()).toEqualTypeOf<Backend>();
  });

  it('takes options that may be undefined, as they come from elsewhere', () => {
    expectTypeOf<{ ttlMs: undefined }>().toExtend<MemoryOptions>();
    expectTypeOf<{ ttlMs: undefined }>().toExtend<ConnectOptions>();
    connect('redis:', { ttlMs: 5_000, password: undefined });
  });

  it('takes options of the right types', () => {
    // @ts-expect-error: durations are numbers
    memory({ ttlMs: '5000' });
    // @ts-expect-error: no such option
    memory({ ttl: 5_000 });
    // @ts-expect-error: one of two
    memory({ giveUpAt: 'never' });
    // @ts-expect-error: no such option of any backend
    connect('redis:', { nonsense: true });
  });
});

describe('errors', () => {
  it('are told apart by _tag', () => {
    const handle = (error: LockLost | LockNotAcquired | GroupNotFound | BackendClosed | AuthenticationFailed) => {
      switch (error._tag) {
        case 'LockLost':
          expectTypeOf(error.token).toEqualTypeOf<bigint>();
          expectTypeOf(error.reason).toEqualTypeOf<'session lost' | 'evicted' | 'held too long'>();
          return error.lock;
        case 'LockNotAcquired':
          expectTypeOf(error.waitMs).toEqualTypeOf<number>();
          return error.lock;
        case 'GroupNotFound':
          expectTypeOf(error).toEqualTypeOf<GroupNotFound>();
          return error.group;
        case 'BackendClosed':
          return error.backend;
        case 'AuthenticationFailed':
          return error.address;
        default:
          expectTypeOf(error).toBeNever();
          return error;
      }
    };
    expectTypeOf(handle).returns.toEqualTypeOf<string>();
  });

  it('have a literal name, equal to their tag', () => {
    expectTypeOf<LockLost['name']>().toEqualTypeOf<'LockLost'>();
    expectTypeOf<LockLost['_tag']>().toEqualTypeOf<'LockLost'>();
    expectTypeOf<BackendClosed['name']>().toEqualTypeOf<BackendClosed['_tag']>();
  });

  it('are all errors of one kind, and of JavaScript', () => {
    expectTypeOf<LockLost>().toExtend<CoordinationError>();
    expectTypeOf<CoordinationError>().toExtend<Error>();
    expectTypeOf<CoordinationError['_tag']>().toEqualTypeOf<string>();
  });

  it('have fields that cannot be written to', () => {
    const error = new LockNotAcquired('l', 5);
    // @ts-expect-error: what happened has happened
    error.waitMs = 6;
  });

  it('cannot be made of the common kind alone', () => {
    // @ts-expect-error: it is abstract
    new CoordinationError('what?');
  });
});
