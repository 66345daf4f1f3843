import { firstValueFrom, lastValueFrom, NEVER, type Observable, of, throwError, toArray } from 'rxjs';
import ts from 'typescript';
import { afterEach, describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { breakLock } from '../../src/observables/locks/break-lock.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { synchronized } from '../../src/promises/synchronized.js';
import { placeOf, scripted, virtually } from '../support/virtual-time.js';

const backends: Backend[] = [];
/** Two processes on one store. */
const two = (): [Backend, Backend] => {
  const store = new MemoryStore();
  const made: [Backend, Backend] = [memory({ store }), memory({ store })];
  backends.push(...made);
  return made;
};

afterEach(async () => {
  await Promise.all(backends.splice(0).map((backend) => backend.close()));
});

/** Resolves with those who wait and those who hold, once there are that many. */
const heldBy = async (backend: Backend, name: string): Promise<number> =>
  (await firstValueFrom(holders(backend, name))).length;

interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

const gate = (): Gate => {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
};

const caught = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return error;
  }
};

describe('a function that is synchronized', () => {
  it('runs on one process at a time, for what it is called with', async () => {
    const [a, b] = two();
    const log: string[] = [];
    const gates = { first: gate(), second: gate() };
    const of = (backend: Backend, who: 'first' | 'second') =>
      synchronized(
        backend,
        'invoice-{id}',
      )(async (id: string) => {
        log.push(`${who} begins ${id}`);
        await gates[who].opened;
        log.push(`${who} ends ${id}`);
        return id;
      });
    const first = of(a, 'first')('7');
    const other = of(b, 'second')('8');
    gates.second.open();
    expect(await other).toBe('8');
    const second = of(b, 'second')('7');
    expect(await heldBy(b, 'invoice-7')).toBe(1);
    gates.first.open();
    expect(await Promise.all([first, second])).toEqual(['7', '7']);
    expect(log).toEqual([
      'first begins 7',
      'second begins 8',
      'second ends 8',
      'first ends 7',
      'second begins 7',
      'second ends 7',
    ]);
    expect(await heldBy(a, 'invoice-7')).toBe(0);
  });

  it.each([
    ['a value', () => 7, 7],
    ['undefined', () => undefined, undefined],
    ['a promise', () => Promise.resolve('x'), 'x'],
    ['a promise of nothing', async () => {}, undefined],
    ['a list, which is one value', () => [1, 2], [1, 2]],
    ['a string, which is one value', () => 'ab', 'ab'],
    ['a promise of a list', async () => [1], [1]],
  ])('gives %s', async (_, work, value) => {
    const [a] = two();
    expect(await synchronized(a, 'l')(work as () => unknown)()).toEqual(value);
  });

  it('calls `then` of what it returns once', async () => {
    const [a] = two();
    let runs = 0;
    const query = {
      // biome-ignore lint/suspicious/noThenProperty: as query builders have it
      then(done: (rows: string) => void) {
        runs += 1;
        done('rows');
      },
    };
    expect(await synchronized(a, 'l')(() => query as PromiseLike<string>)()).toBe('rows');
    expect(runs).toBe(1);
  });

  it('TwoAtOnce: a thenable that is a function is waited for under the lock', async () => {
    const [a] = two();
    const held: number[] = [];
    const query = Object.assign(() => undefined, {
      // biome-ignore lint/suspicious/noThenProperty: as query builders have it
      then(done: (rows: string) => void) {
        void heldBy(a, 'l').then((holding) => {
          held.push(holding);
          done('rows');
        });
      },
    });
    expect(await synchronized(a, 'l')(() => query as unknown as PromiseLike<string>)()).toBe('rows');
    expect(held).toEqual([1]);
  });

  it('refuses a stream that is a function', async () => {
    const [a] = two();
    const stream = Object.assign(() => undefined, { subscribe: () => undefined });
    await expect(synchronized(a, 'l')((() => stream) as () => unknown)()).rejects.toMatchObject({
      _tag: 'InvalidOptions',
    });
  });

  it('WrongLock: does not guess which parameter a field names', () => {
    const [a] = two();
    const work = new Function('n', 'return (a = n++ / 2, b = 3 / 4, id) => id')(1) as (...args: unknown[]) => unknown;
    expect(caught(() => synchronized(a, 'l-{id}')(work))).toMatchObject({
      _tag: 'InvalidTemplate',
      message: expect.stringMatching(/cannot be told from its source: say the index, as \{0\}/),
    });
    expect(caught(() => synchronized(a, 'l-{2}')(work))).toBeInstanceOf(Function);
  });

  it('rejects with what the work throws, or rejects with, and releases', async () => {
    const [a] = two();
    const failure = new Error('no paper');
    const thrown = synchronized(
      a,
      'l',
    )((): number => {
      throw failure;
    });
    await expect(thrown()).rejects.toBe(failure);
    await expect(synchronized(a, 'l')(() => Promise.reject(failure))()).rejects.toBe(failure);
    expect(await heldBy(a, 'l')).toBe(0);
  });

  it('rejects with LockNotAcquired after waitMs, and has not called the work', async () => {
    const [a, b] = two();
    const holding = lock(a, 'l').subscribe();
    let calls = 0;
    const work = synchronized(b, 'l', { waitMs: 20 })(() => ++calls);
    await expect(work()).rejects.toMatchObject({ _tag: 'LockNotAcquired', lock: 'l', waitMs: 20 });
    expect(calls).toBe(0);
    holding.unsubscribe();
    expect(await work()).toBe(1);
  });

  it('rejects with LockLost when the lock is taken away, though the work goes on', async () => {
    const [a, b] = two();
    const [begun, end] = [gate(), gate()];
    const call = synchronized(
      a,
      'l',
    )(async () => {
      begun.open();
      await end.opened;
    })();
    const failed = expect(call).rejects.toMatchObject({ _tag: 'LockLost', lock: 'l' });
    await begun.opened;
    await firstValueFrom(breakLock(b, 'l'));
    await failed;
    end.open();
  });

  it('rejects with BackendClosed, and not with a value, where the backend closes before the work has begun', async () => {
    const [a, b] = two();
    const holding = lock(a, 'l').subscribe();
    let calls = 0;
    const call = synchronized(b, 'l')(() => ++calls)();
    const failed = expect(call).rejects.toMatchObject({ _tag: 'BackendClosed', state: 'closed' });
    await b.close();
    await failed;
    await expect(synchronized(b, 'l')(() => ++calls)()).rejects.toMatchObject({ _tag: 'BackendClosed' });
    expect(calls).toBe(0);
    holding.unsubscribe();
  });

  it('says that the backend drains, and not that it is closed, to a call that waits then, or comes later', async () => {
    const [a, b] = two();
    const holding = [lock(a, 'l').subscribe(), lock(b, 'm').subscribe()];
    const waiting = synchronized(b, 'l')(() => 'never')();
    const drains = expect.objectContaining({ _tag: 'BackendClosed', message: expect.stringContaining('drains') });
    const failed = expect(waiting).rejects.toEqual(drains);
    const closed = b.close({ drainMs: 10_000 });
    await failed;
    await expect(synchronized(b, 'n')(() => 'never')()).rejects.toEqual(drains);
    for (const each of holding) each.unsubscribe();
    await closed;
  });

  it('shows its data to who looks', async () => {
    const [a, b] = two();
    const [begun, end] = [gate(), gate()];
    const call = synchronized(a, 'l', { data: 'host-1' })(async () => {
      begun.open();
      await end.opened;
    })();
    await begun.opened;
    expect(await firstValueFrom(holders(b, 'l'))).toMatchObject([{ data: { _tag: 'Some', value: 'host-1' } }]);
    end.open();
    await call;
  });

  it.each([
    ['an Observable', () => of(1)],
    ['a promise of an Observable', async () => of(1)],
    ['an async generator', async function* () {}],
    ['a generator', function* () {}],
  ])('does not take %s for a value, and says what to do', async (_, work) => {
    const [a] = two();
    await expect(synchronized(a, 'l')(work as () => unknown)()).rejects.toMatchObject({
      _tag: 'InvalidOptions',
      violations: [expect.stringMatching(/^stream must be true, since/)],
    });
  });
});

describe('the name of its lock', () => {
  /** The names that were asked for. */
  const asked = async (wrap: (backend: Backend) => Promise<unknown>): Promise<unknown> => {
    const [a] = two();
    const names: string[] = [];
    const enter: Backend['enter'] = (roster, request) => {
      names.push(roster.name);
      return a.enter(roster, request);
    };
    const spying: Backend = Object.assign(Object.create(a), {
      enter,
      scheduler: a.scheduler,
      codec: a.codec,
      look: () => NEVER,
    });
    await wrap(spying);
    return names;
  };

  it('has the parameters by name and by index, the name of the function, and the rest', async () => {
    expect(
      await asked((b) =>
        synchronized(
          b,
          '{method}:{id}:{options.deep}:{0}:{rest[1]}',
        )(async function pay(id: string, options = { deep: false }, ...rest: number[]) {
          return [id, options, rest];
        })('x', { deep: true }, 1, 2),
      ),
    ).toEqual(['pay:x:true:x:2']);
  });

  it('has parts of what is taken apart by its index', async () => {
    expect(await asked((b) => synchronized(b, 'v-{0.id}')(({ id }: { id: number }) => id)({ id: 7 }))).toEqual(['v-7']);
  });

  it('has `this`, of a function that has one', async () => {
    const account = { id: 3, name: 'x' };
    function balance(this: { id: number }): number {
      return this.id;
    }
    expect(await asked((b) => synchronized(b, 'a-{this.id}')(balance).call(account))).toEqual(['a-3']);
  });

  it('rejects where a field cannot be filled in, names it, and calls nothing', async () => {
    const [a] = two();
    let calls = 0;
    const pay = synchronized(a, 'invoice-{invoice.id}')((invoice: { id?: unknown }) => [++calls, invoice]);
    for (const invoice of [{}, { id: null }, { id: {} }, { id: '' }, undefined, null])
      await expect(pay(invoice as never)).rejects.toMatchObject({
        _tag: 'InvalidTemplate',
        field: 'invoice.id',
        template: 'invoice-{invoice.id}',
      });
    await expect((pay as () => Promise<unknown>)()).rejects.toMatchObject({ reason: 'invoice is undefined' });
    await expect(synchronized(a, '{0}')((x: string) => x)('y'.repeat(600))).rejects.toMatchObject({
      _tag: 'InvalidName',
    });
    await expect(synchronized(a, '{this.id}')(() => ++calls)()).rejects.toMatchObject({ reason: 'this is undefined' });
    await expect(synchronized(a, '{1}')((x: string) => x)('y')).rejects.toMatchObject({ reason: '1 is not there' });
    expect(calls).toBe(0);
  });

  it.each([
    ['{id}', ({ id }: { id: string }) => id, 'id is no parameter of work({…})'],
    ['{id}', (a: string, ...b: string[]) => [a, b], 'id is no parameter of work(a, ...b)'],
    ['{id}', Math.max, 'the parameters of work cannot be told from its source: say the index'],
    ['{id}', ((id: string) => id).bind(undefined), 'cannot be told from its source'],
    ['{toString}', () => 1, 'toString is no parameter of work()'],
    ['{__proto__.x}', () => 1, '__proto__ is no parameter of work()'],
    ['{method}', (method: string) => method, 'a parameter has this name, too'],
  ])('is refused at the wrapping where %s is no parameter', (template, fn, reason) => {
    const [a] = two();
    const work = Object.defineProperty(fn as () => unknown, 'name', { value: 'work' });
    const error = caught(() => synchronized(a, template)(work as () => number));
    expect(error).toMatchObject({ _tag: 'InvalidTemplate', template, field: template.slice(1, -1) });
    expect(String(error)).toContain(reason);
  });

  it('is refused at the wrapping where the function has no name to say', () => {
    const [a] = two();
    expect(caught(() => synchronized(a, '{method}')(() => 1))).toMatchObject({
      _tag: 'InvalidTemplate',
      reason: 'the function has no name',
    });
  });

  it('is refused before anything is wrapped where the template, the options or the backend are none', () => {
    const [a] = two();
    expect(caught(() => synchronized(a, '{'))).toMatchObject({ _tag: 'InvalidTemplate' });
    expect(caught(() => synchronized(a, undefined as never))).toMatchObject({ _tag: 'InvalidTemplate' });
    expect(caught(() => synchronized(a, 'l', { waitMs: -1 }))).toMatchObject({ _tag: 'InvalidOptions' });
    expect(caught(() => synchronized(a, 'l', { waitMS: 1 } as never))).toMatchObject({ _tag: 'InvalidOptions' });
    expect(caught(() => synchronized(a, 'l', { stream: 1 } as never))).toMatchObject({ _tag: 'InvalidOptions' });
    expect(caught(() => synchronized(a, 'l', null as never))).toMatchObject({ _tag: 'InvalidOptions' });
    expect(caught(() => synchronized(undefined as never, 'l'))).toMatchObject({ _tag: 'InvalidOptions' });
    expect(caught(() => synchronized({} as never, 'l'))).toMatchObject({ _tag: 'InvalidOptions' });
    expect(caught(() => synchronized(a, 'l')(7 as never))).toMatchObject({ _tag: 'InvalidOptions' });
  });

  it('is asked for on the backend that the object has', async () => {
    const [a] = two();
    const pay = synchronized(
      ({ backend }: { backend: Backend }) => backend,
      'l',
    )(function pay(this: {
      backend: Backend;
    }) {
      return this.backend.name;
    });
    expect(await pay.call({ backend: a })).toBe('memory');
    await expect(pay.call({} as never)).rejects.toMatchObject({
      _tag: 'InvalidOptions',
      violations: [expect.stringMatching(/^backend must be/)],
    });
  });
});

describe('with stream: true', () => {
  it('takes the lock for each subscription, and only then', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('--a---', { a: placeOf(1n) });
      const work = cold('  -x-y|');
      const backend = scripted({ enter }, scheduler);
      const wrapped = synchronized(backend, 'l-{id}', { stream: true })((id: string) => [work, id][0] as typeof work);
      const output = wrapped('7');
      expectObservable(output).toBe('---x-y|');
      expectObservable(output, '----------^').toBe('-------------x-y|');
      expectSubscriptions(work.subscriptions).toBe(['--^---!', '------------^---!']);
      expectSubscriptions(enter.subscriptions).toBe(['^-----!', '----------^-----!']);
    });
  });

  it('releases when it is unsubscribed from early', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('--a---', { a: placeOf(1n) });
      const work = cold('  -x-y|');
      const wrapped = synchronized(scripted({ enter }, scheduler), 'l', { stream: true })(() => work);
      expectObservable(wrapped(), '^---!').toBe('---x');
      expectSubscriptions(work.subscriptions).toBe('--^-!');
      expectSubscriptions(enter.subscriptions).toBe('^---!');
    });
  });

  it('is silent, empty, or errors as the work does', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const wrapped = (work: Observable<string>) =>
        synchronized(scripted({ enter: cold('-a', { a: placeOf(1n) }) }, scheduler), 'l', { stream: true })(
          () => work,
        )();
      expectObservable(wrapped(cold('--')), '^-----!').toBe('');
      expectObservable(wrapped(cold('--|'))).toBe('---|');
      expectObservable(wrapped(cold('--#'))).toBe('---#');
    });
  });

  it('errors, and does not throw, where a field cannot be filled in', () => {
    const [a] = two();
    const wrapped = synchronized(a, '{x.id}', { stream: true })((x: { id?: string }) => of(x));
    const errors: unknown[] = [];
    wrapped({}).subscribe({ error: (error) => errors.push(error) });
    expect(errors).toMatchObject([{ _tag: 'InvalidTemplate', field: 'x.id' }]);
  });

  it('takes what RxJS takes for an Observable', async () => {
    const [a] = two();
    const both = synchronized(a, 'l', { stream: true })(async function* () {
      yield 1;
      yield 2;
    });
    expect(await lastValueFrom(both().pipe(toArray()))).toEqual([1, 2]);
    const failing = synchronized(a, 'l', { stream: true })(() => throwError(() => 'x'));
    await expect(lastValueFrom(failing())).rejects.toBe('x');
  });
});

describe('a method', () => {
  it('keeps its name, its length, and what other decorators have left at it', () => {
    const [a] = two();
    const fn = Object.assign(async function pay(_id: string, _how: string) {}, { route: '/pay' });
    const wrapped = synchronized(a, 'l')(fn);
    expect([wrapped.name, wrapped.length, Object.entries(wrapped)]).toEqual(['pay', 2, [['route', '/pay']]]);
  });

  it('keeps the metadata of NestJS', () => {
    const [a] = two();
    const metadata = new Map<unknown, Map<unknown, unknown>>();
    const kept = Object.assign(Reflect, {
      getOwnMetadataKeys: (of: object) => [...(metadata.get(of)?.keys() ?? [])],
      getOwnMetadata: (key: unknown, of: object) => metadata.get(of)?.get(key),
      defineMetadata: (key: unknown, value: unknown, of: object) => {
        metadata.set(of, new Map([...(metadata.get(of) ?? []), [key, value]]));
      },
    });
    try {
      const fn = async (): Promise<void> => {};
      kept.defineMetadata('path', '/pay', fn);
      expect(kept.getOwnMetadata('path', synchronized(a, 'l')(fn))).toBe('/pay');
    } finally {
      for (const key of ['getOwnMetadataKeys', 'getOwnMetadata', 'defineMetadata'])
        Reflect.deleteProperty(Reflect, key);
    }
  });

  const source = `
    import { synchronized } from 'conclave';
    export const classOf = (backend, log) => {
      class Invoices {
        constructor(tenant) { this.tenant = tenant; this.backend = backend; }

        @synchronized(backend, '{method}-{this.tenant}-{id}')
        async pay(id, { how } = {}) { log.push([this.tenant, id, how]); return 'paid ' + id; }

        @synchronized((self) => self.backend, 'all', { stream: true })
        all() { return [1, 2]; }

        @synchronized(backend, 'static-{0}')
        static async audit(year) { return [this.name, year]; }
      }
      return Invoices;
    };
    export const misuse = (backend) => { class A { @synchronized(backend, 'l') get total() { return 1; } } };
    export const misused = (backend) => { class A { @synchronized(backend, 'l') total = 1; } };
    export const unknown = (backend) => { class A { @synchronized(backend, '{ids}') async pay(id) {} } };
  `;
  const compiled = (experimentalDecorators: boolean, target: ts.ScriptTarget) => {
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: {
        target,
        module: ts.ModuleKind.CommonJS,
        experimentalDecorators,
        useDefineForClassFields: false,
      },
    });
    const exported: Record<string, (...args: unknown[]) => never> = {};
    new Function('require', 'exports', outputText)(() => ({ synchronized }), exported);
    return exported as unknown as {
      classOf(backend: Backend, log: unknown[]): never;
      misuse(backend: Backend): unknown;
      misused(backend: Backend): unknown;
      unknown(backend: Backend): unknown;
    };
  };
  interface Invoices {
    pay(id: string, options?: { how: string }): Promise<string>;
    all(): Observable<number>;
  }
  interface InvoicesClass {
    new (tenant: string): Invoices;
    audit(year: number): Promise<unknown>;
  }

  it.each([
    ['standard (stage 3)', false, ts.ScriptTarget.ES2022],
    ['standard (stage 3), for old engines', false, ts.ScriptTarget.ES2017],
    ['experimental', true, ts.ScriptTarget.ES2022],
    ['experimental, for old engines', true, ts.ScriptTarget.ES2017],
  ])('is decorated: %s', async (_, isExperimental, target) => {
    const [a, b] = two();
    const log: unknown[] = [];
    const module = compiled(isExperimental, target);
    const Class: InvoicesClass = module.classOf(a, log);
    const invoices = new Class('t1');
    const holding = lock(b, 'pay-t1-7').subscribe();
    const waiting = invoices.pay('7', { how: 'cash' });
    expect(await invoices.pay('8')).toBe('paid 8');
    expect(log).toEqual([['t1', '8', undefined]]);
    holding.unsubscribe();
    expect(await waiting).toBe('paid 7');
    expect(log).toEqual([
      ['t1', '8', undefined],
      ['t1', '7', 'cash'],
    ]);
    expect(await lastValueFrom(invoices.all().pipe(toArray()))).toEqual([1, 2]);
    expect(await Class.audit(2026)).toEqual(['Invoices', 2026]);
    expect(invoices.pay.name).toBe('pay');
    await expect(invoices.pay(undefined as never)).rejects.toMatchObject({ _tag: 'InvalidTemplate', field: 'id' });

    for (const wrong of [module.misuse, module.misused])
      expect(caught(() => wrong(a))).toMatchObject({
        _tag: 'InvalidOptions',
        violations: [expect.stringMatching(/^synchronized decorates methods, and total is/)],
      });
    expect(caught(() => module.unknown(a))).toMatchObject({ _tag: 'InvalidTemplate', field: 'ids' });
  });
});
