import { type Backend, lockName, synchronized } from 'conclave';
import { memory } from 'conclave/memory';
import { interval, type Observable, of } from 'rxjs';
import { describe, expectTypeOf, it } from 'vitest';

const backend: Backend = memory();

describe('lockName', () => {
  it('makes a string of a template and anything', () => {
    expectTypeOf(lockName('foo-{volume.id}', { volume: { id: 1 } })).toEqualTypeOf<string>();
    // @ts-expect-error: a template is a string
    lockName(7, {});
  });
});

describe('a function that is synchronized', () => {
  it('takes what it took, and gives a promise', () => {
    const count = synchronized(backend, 'l-{id}')((id: string, times?: number) => id.length * (times ?? 1));
    expectTypeOf(count).parameters.toEqualTypeOf<[id: string, times?: number | undefined]>();
    expectTypeOf(count).returns.toEqualTypeOf<Promise<number>>();
    expectTypeOf(count('a')).toEqualTypeOf<Promise<number>>();
    // @ts-expect-error: it takes a string
    count(7);
    // @ts-expect-error: it wants one
    count();
  });

  it('gives the promise that it gave', () => {
    expectTypeOf(synchronized(backend, 'l')(async () => 'x')()).toEqualTypeOf<Promise<string>>();
    expectTypeOf(synchronized(backend, 'l')(async () => {})()).toEqualTypeOf<Promise<void>>();
    expectTypeOf(synchronized(backend, 'l')(() => [1, 2])()).toEqualTypeOf<Promise<number[]>>();
    expectTypeOf(synchronized(backend, 'l')((...ids: number[]) => ids)(1, 2)).toEqualTypeOf<Promise<number[]>>();
    expectTypeOf(
      synchronized(
        backend,
        'l',
      )((): never => {
        throw new Error('x');
      })(),
    ).toEqualTypeOf<Promise<never>>();
    expectTypeOf(synchronized(backend, 'l')((x: string | undefined) => x)('y')).toEqualTypeOf<
      Promise<string | undefined>
    >();
  });

  it('keeps its this', () => {
    function balance(this: { id: number }, of: string): string {
      return `${this.id}${of}`;
    }
    const wrapped = synchronized(backend, '{this.id}')(balance);
    expectTypeOf(wrapped).thisParameter.toEqualTypeOf<{ id: number }>();
    // @ts-expect-error: it is called on something
    wrapped('x');
  });

  it('does not return a stream, unless told so', () => {
    // @ts-expect-error: set { stream: true }
    synchronized(backend, 'l')(() => of(1));
    // @ts-expect-error: set { stream: true }
    synchronized(backend, 'l', { stream: false })(() => interval(1));
    // @ts-expect-error: set { stream: true }
    synchronized(backend, 'l')(async () => of(1));
    // @ts-expect-error: set { stream: true }
    synchronized(backend, 'l')(async function* () {});
    const both = synchronized(backend, 'l', { stream: true })((id: string) => of(id));
    expectTypeOf(both).parameters.toEqualTypeOf<[id: string]>();
    expectTypeOf(both('x')).toEqualTypeOf<Observable<string>>();
    expectTypeOf(synchronized(backend, 'l', { stream: true })(async () => 1)()).toEqualTypeOf<Observable<number>>();
    // @ts-expect-error: nothing to subscribe to
    synchronized(backend, 'l', { stream: true })(() => 1);
  });

  it('takes the options of lock, and a backend or where it is', () => {
    synchronized(backend, 'l', { waitMs: 5, data: 'me' });
    synchronized(({ own }: { own: Backend }) => own, 'l', { waitMs: 5, stream: true });
    // @ts-expect-error: no such option
    synchronized(backend, 'l', { wait: 5 });
    // @ts-expect-error: no backend
    synchronized({}, 'l');
    // @ts-expect-error: the template says which
    synchronized(backend);
  });
});

describe('a method that is synchronized', () => {
  it('is what it was', () => {
    class Invoices {
      readonly backend = backend;

      @synchronized(backend, '{method}-{id}')
      async pay(id: string): Promise<number> {
        return id.length;
      }

      @synchronized(({ backend }: Invoices) => backend, 'all', { stream: true })
      all(): Observable<string> {
        return of('x');
      }

      @synchronized(backend, 'static')
      static async audit(year: number): Promise<number> {
        return year;
      }
    }
    const invoices = new Invoices();
    expectTypeOf(invoices.pay('7')).toEqualTypeOf<Promise<number>>();
    expectTypeOf(invoices.all()).toEqualTypeOf<Observable<string>>();
    expectTypeOf(Invoices.audit(2026)).toEqualTypeOf<Promise<number>>();
  });

  it('gives a promise, or an Observable where that is said, and nothing else', () => {
    class Wrong {
      // @ts-expect-error: it becomes a promise
      @synchronized(backend, 'l')
      now(): number {
        return 1;
      }

      // @ts-expect-error: set { stream: true }
      @synchronized(backend, 'l')
      all(): Observable<number> {
        return of(1);
      }

      // @ts-expect-error: it becomes an Observable
      @synchronized(backend, 'l', { stream: true })
      async later(): Promise<number> {
        return 1;
      }

      // @ts-expect-error: the class has no such backend
      @synchronized(({ elsewhere }: { elsewhere: Backend }) => elsewhere, 'l')
      async there(): Promise<number> {
        return 1;
      }

      // @ts-expect-error: methods only
      @synchronized(backend, 'l')
      readonly field = 1;
    }
    expectTypeOf(new Wrong().field).toEqualTypeOf<number>();
  });
});
