import { isSome, type Option } from 'fp-ts/lib/Option.js';
import {
  defer,
  EMPTY,
  firstValueFrom,
  NEVER,
  Observable,
  of,
  type SchedulerLike,
  Subject,
  throwError,
  VirtualTimeScheduler,
} from 'rxjs';
import { type RunHelpers, TestScheduler } from 'rxjs/testing';
import { expect, vi } from 'vitest';
import type {
  Backend,
  ClockLike,
  Entry,
  EntryRequest,
  Place,
  RosterKey,
  Session,
  SwapResult,
  Versioned,
} from '../../src/backends/backend.js';
import type { CoordinationError } from '../../src/backends/errors.js';
import { memoryCharacteristics } from '../../src/backends/memory/characteristics.js';
import { type MemoryOptions, MemoryStore, memory } from '../../src/backends/memory/index.js';
import { jsonCodec } from '../../src/backends/shared/codec.js';
import { fromUtf8 } from '../../src/backends/shared/utf8.js';

/**
 * Round numbers: a session may be relied on for 94 ms after its last proof, and the store expires it after 100.
 * With `Math.random` held at 0, the pauses before a new session are 5, 10, 20 and 40 ms.
 */
export const QUICK = {
  ttlMs: 100,
  renewEveryMs: 20,
  guardMs: 5,
  drift: 0.01,
  requestTimeoutMs: 30,
  initialBackoffMs: 10,
  maxBackoffMs: 80,
  closeTimeoutMs: 50,
} as const;

/** What a marble test works with: RxJS's helpers, and one store with any number of backends on it. */
export interface VirtualTime extends RunHelpers {
  readonly store: MemoryStore;
  readonly scheduler: TestScheduler;
  /** A backend on the store: what one process has. */
  process(options?: MemoryOptions): Backend;
  /** Does something at a frame. */
  at(frame: number, act: () => void): void;
  /** Lets the clock of all backends jump ahead of their timers, as an event loop does that was blocked. */
  block(ms: number): void;
  partition(backend: Backend): void;
  heal(backend: Backend): void;
  expire(backend: Backend): void;
}

/** Runs marbles in virtual time, and closes every backend at frame `endsAt`: sessions renew for ever otherwise. */
export function virtually(test: (time: VirtualTime) => void, endsAt = 1_000): void {
  const random = vi.spyOn(Math, 'random').mockReturnValue(0);
  try {
    const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected));
    scheduler.run((helpers) => {
      const store = new MemoryStore(scheduler);
      const backends: Backend[] = [];
      let blockedMs = 0;
      const clock: SchedulerLike = {
        now: () => scheduler.now() + blockedMs,
        schedule: scheduler.schedule.bind(scheduler),
      };
      test({
        ...helpers,
        store,
        scheduler,
        process: (options = {}) => {
          const backend = memory({ ...QUICK, store, scheduler: clock, ...options });
          backends.push(backend);
          return backend;
        },
        at: (frame, act) => {
          scheduler.schedule(act, frame);
        },
        block: (ms) => {
          blockedMs += ms;
        },
        partition: (backend) => store.partition(sessionIdOf(backend)),
        heal: (backend) => store.heal(sessionIdOf(backend)),
        expire: (backend) => store.expire(sessionIdOf(backend)),
      });
      scheduler.schedule(() => {
        for (const backend of backends) void backend.close({ drainMs: 0 });
      }, endsAt);
    });
  } finally {
    random.mockRestore();
  }
}

/** The id of the session that is open now. */
export function sessionIdOf(backend: Backend): string {
  let now: Session | undefined;
  backend.session$
    .subscribe((session) => {
      now = session;
    })
    .unsubscribe();
  if (now === undefined || !('id' in now)) throw new Error('no session is open');
  return now.id;
}

/** Virtual time that goes by step by step, for what marbles cannot hold: promises, and long conversations. */
export class ManualTime implements ClockLike {
  readonly #virtual = new VirtualTimeScheduler();
  #blockedMs = 0;
  #wallAheadMs = 0;

  readonly schedule = this.#virtual.schedule.bind(this.#virtual);
  now(): number {
    return this.#virtual.frame + this.#blockedMs;
  }
  wallNow(): number {
    return this.now() + this.#wallAheadMs;
  }
  /** Lets `ms` go by, timers and all. */
  pass(ms: number): void {
    const until = this.#virtual.frame + ms;
    this.#virtual.schedule(() => undefined, ms);
    this.#virtual.maxFrames = until;
    this.#virtual.flush();
  }
  /** Lets `ms` go by, and every promise that is due at each of them settle. */
  async passWithPromises(ms: number): Promise<void> {
    await promises();
    for (let i = 0; i < ms; i++) {
      this.pass(1);
      await promises();
    }
  }
  /** The clock goes on by `ms`, but no timer runs: each one is late by that from here on. */
  block(ms: number): void {
    this.#blockedMs += ms;
  }
  /** The machine sleeps: wall time goes by, monotonic time does not. */
  sleep(ms: number): void {
    this.#wallAheadMs += ms;
  }
  /** How many timers are set. */
  get pending(): number {
    return this.#virtual.actions.length;
  }
}

/** Lets every promise that is due settle. */
export async function promises(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

/** What a scripted backend gives for each call. What is left out never emits. */
export interface Script {
  readonly enter?: Observable<Place> | readonly Observable<Place>[];
  readonly entries?: Observable<readonly Entry[]>;
  readonly look?: Observable<readonly Entry[]>;
  readonly registered?: Observable<ReadonlySet<string>>;
  readonly session$?: Observable<Session>;
  readonly evict?: Observable<boolean>;
  readonly register?: Observable<boolean>;
  readonly unregister?: Observable<'removed' | 'absent' | 'occupied'>;
  readonly cell?: Observable<Versioned | undefined>;
  /** One for each call. */
  readonly swap?: readonly Observable<SwapResult>[];
}

/** A double for marble input: a backend whose streams are given. It never stands for a store. */
export interface ScriptedBackend extends Backend {
  /** Every call so far: `enter election x`. */
  readonly calls: string[];
  readonly requests: EntryRequest[];
  readonly faults: CoordinationError[];
}

export function scripted(script: Script, scheduler: SchedulerLike): ScriptedBackend {
  const calls: string[] = [];
  const requests: EntryRequest[] = [];
  const faults: CoordinationError[] = [];
  const faults$ = new Subject<CoordinationError>();
  let entered = 0;
  let swapped = 0;
  const call = (act: string, { kind, name }: RosterKey, more = ''): void => {
    calls.push(`${act} ${kind} ${name}${more}`);
  };
  const onSubscribe = <T>(source: Observable<T>, act: () => void): Observable<T> =>
    new Observable((subscriber) => {
      act();
      return source.subscribe(subscriber);
    });
  return {
    calls,
    requests,
    faults,
    name: 'scripted',
    characteristics: memoryCharacteristics,
    codec: jsonCodec,
    scheduler,
    newId: () => crypto.randomUUID(),
    session$: script.session$ ?? NEVER,
    faults$,
    reportFault: (fault) => {
      faults.push(fault);
    },
    enter: (roster, request) =>
      new Observable((subscriber) => {
        call('enter', roster);
        requests.push(request);
        const { enter = NEVER } = script;
        const source = enter instanceof Observable ? enter : (enter[entered] ?? NEVER);
        entered++;
        return source.subscribe(subscriber);
      }),
    entries: (roster) => onSubscribe(script.entries ?? NEVER, () => call('entries', roster)),
    look: (roster) => onSubscribe(script.look ?? NEVER, () => call('look', roster)),
    evict: (roster, id) => onSubscribe(script.evict ?? NEVER, () => call('evict', roster, ` ${id}`)),
    register: (roster) => onSubscribe(script.register ?? NEVER, () => call('register', roster)),
    unregister: (roster) => onSubscribe(script.unregister ?? NEVER, () => call('unregister', roster)),
    registered: (kind) => onSubscribe(script.registered ?? NEVER, () => calls.push(`registered ${kind}`)),
    cell: (key) => {
      const { cell = throwError(() => new Error('no cells in the script')) } = script;
      return onSubscribe(cell, () => calls.push(`cell ${key}`));
    },
    swap: (key, expected, value) =>
      defer(() => {
        calls.push(`swap ${key} ${expected} ${value === undefined ? 'nothing' : fromUtf8(value)}`);
        return script.swap?.[swapped++] ?? throwError(() => new Error('no such swap in the script'));
      }),
    close: () => firstValueFrom(EMPTY, { defaultValue: undefined }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A place as a script gives it. */
export function placeOf(token: bigint, admitted = true, isValid: () => boolean = () => admitted): Place {
  return {
    entry: entryOf(`e${token}`, token),
    admitted,
    ahead: admitted ? 0 : 1,
    isValid,
    /** One for each who stands there, though tests share the place. */
    get signal() {
      return new AbortController().signal;
    },
    draining: new AbortController().signal,
    remainingMs: () => (isValid() ? 1_000 : 0),
    leave: () => of(admitted),
  };
}

/** An entry as a script gives it. */
export function entryOf(
  id: string,
  token: bigint,
  payload: unknown = undefined,
  mode: Entry['mode'] = 'exclusive',
): Entry {
  return { id, token, mode, permits: 1, payload: jsonCodec.encode(payload) };
}

/** What an option holds, for marbles: `none` or what is in it. */
export function shown<T>(option: Option<T>): T | 'none' {
  return isSome(option) ? option.value : 'none';
}
