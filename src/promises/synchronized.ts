import { defer, lastValueFrom, map, type Observable, type ObservableInput, of, take, throwIfEmpty } from 'rxjs';
import type { Backend } from '../backends/backend.js';
import { BackendClosed, InvalidOptions } from '../backends/errors.js';
import { check, FLAG, objectWith, shown } from '../backends/shared/expectations.js';
import { checkLock, type LockOptions } from '../observables/locks/lock.js';
import { nameOf, parseTemplate } from '../observables/locks/lock-name.js';
import { withLock } from '../observables/locks/with-lock.js';
import { fieldsFor } from './call-fields.js';
import { inPlaceOf, type Work } from './in-place-of.js';

/** Options of `synchronized`. */
export interface SynchronizedOptions extends LockOptions {
  /**
   * `true`: the function returns an Observable, or what RxJS takes for one, and so does the wrapped one. Default `false`: it
   * returns a value or a promise, and the wrapped one a promise.
   */
  readonly stream?: boolean;
}

/** Work that would go on after the release must be told apart by the option `stream`. */
type NoStream<R> = [Awaited<R>] extends [infer V]
  ? 0 extends 1 & V
    ? unknown
    : [V] extends [never]
      ? unknown
      : [V] extends [{ subscribe(...args: never): unknown } | AsyncIterable<unknown>]
        ? { readonly 'it returns a stream': 'set { stream: true }' }
        : unknown
  : unknown;

/** Wraps a function, or decorates a method, so that it runs under a lock. */
export interface Synchronized<Self> {
  /** A decorator as ECMAScript has them. */
  <This extends Self, A extends unknown[], R>(
    method: ((this: This, ...args: A) => Promise<R>) & NoStream<R>,
    context: ClassMethodDecoratorContext<This>,
  ): (this: This, ...args: A) => Promise<R>;
  /** A decorator as TypeScript had them: `experimentalDecorators`. */
  <A extends unknown[], R>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<((...args: A) => Promise<R>) & NoStream<R>>,
  ): void;
  <This extends Self, A extends unknown[], R>(
    work: ((this: This, ...args: A) => R) & NoStream<R>,
    context?: undefined,
  ): (this: This, ...args: A) => Promise<Awaited<R>>;
}

/** Wraps a function, or decorates a method, whose Observable is to run under a lock. */
export interface SynchronizedStream<Self> {
  /** A decorator as ECMAScript has them. */
  <This extends Self, A extends unknown[], T>(
    method: (this: This, ...args: A) => Observable<T>,
    context: ClassMethodDecoratorContext<This>,
  ): (this: This, ...args: A) => Observable<T>;
  /** A decorator as TypeScript had them: `experimentalDecorators`. */
  <A extends unknown[], T>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<(...args: A) => Observable<T>>,
  ): void;
  <This extends Self, A extends unknown[], T>(
    work: (this: This, ...args: A) => ObservableInput<T>,
    context?: undefined,
  ): (this: This, ...args: A) => Observable<T>;
}

/** The backend, or where the object whose method it is has it. */
export type BackendOf<Self> = Backend | ((self: Self) => Backend);

/**
 * Makes a function, or a method, run under a lock whose name says what it is called with, on one process of the fleet at a
 * time: `synchronized(backend, 'invoice-{id}')(async (id: string) => …)`, or before a method `@synchronized(…)`.
 *
 *     calls of pay(7)    1---2--3
 *     1, here            [====]
 *     2, elsewhere           -[===]
 *     3, here                   --[==]
 *
 * Fields of the template are those of `lockName`, in `{method}`, the name of the function; its parameters by their names, or by
 * `{0}`, `{1}`; and `{this}`. Names are read from the function's source: say the index where a parameter is taken apart (`{ id }`),
 * or renamed, or where any has a default value with a slash in it (`4 / 2`, `/x/`). Minifiers rename all, and esbuild those that
 * hide another name. A default value of a parameter is not known.
 *
 * **Emits** what the work gives: a promise of its value; with `stream: true` a cold Observable, each subscription of which takes the
 * lock and runs the work anew.
 * **Errors** (the promise rejects) what `withLock` errors with: `LockLost`, `LockNotAcquired` after `waitMs`, what the work errors
 * with; `InvalidTemplate` where a field cannot be filled in, `InvalidName`; `BackendClosed` where the backend closes or drains
 * before the work has begun; `InvalidOptions` where it returns a stream, without `stream: true`. When wrapped: `InvalidTemplate`
 * where a field is no parameter, `InvalidOptions`.
 * **Completes** when the work does, and the lock is released then; with `stream`, when the backend is closed, too.
 * **Teardown** a promise cannot be called back. Of an Observable: that of `withLock`.
 * **Guarantee** that of `withLock`. Not: that work which is a promise stops when the lock is lost. It gets no grant, so what it
 * writes is not fenced: use `withLock` and give `grant.token` to what matters. Not: that a method may call itself, or
 * another under the same name: it would wait for itself for ever.
 * **Source** Cinder's and tooz's `@synchronized`, Java's `synchronized`.
 *
 * @example
 * const pay = synchronized(backend, 'invoice-{id}')(async (id: string) => console.log('paid', id));
 * class Invoices {
 *   @synchronized(backend, '{method}-{day[0]}', { waitMs: 5_000 })
 *   async payAll(...day: string[]): Promise<void> {
 *     for (const id of day) await pay(id);
 *   }
 * }
 */
export function synchronized<Self = unknown>(
  backend: BackendOf<Self>,
  template: string,
  options: LockOptions & { readonly stream: true },
): SynchronizedStream<Self>;
export function synchronized<Self = unknown>(
  backend: BackendOf<Self>,
  template: string,
  options?: LockOptions & { readonly stream?: false },
): Synchronized<Self>;
export function synchronized(
  backend: BackendOf<unknown>,
  template: string,
  options: SynchronizedOptions = {},
): unknown {
  const { stream = false, ...lockOptions } = checked(options);
  if (typeof backend !== 'function') checkBackend(backend);
  const parsed = parseTemplate(template);

  const wrap = (work: unknown, method: unknown): Work => {
    if (typeof work !== 'function') throw new InvalidOptions([`work must be a function, but is ${shown(work)}`]);
    const fn = work as Work;
    const fieldsOf = fieldsFor(parsed, fn, typeof method === 'string' ? method : '');
    const run = (self: unknown, args: unknown[]): Observable<unknown> =>
      defer(() => {
        const its = typeof backend === 'function' ? checkBackend(backend(self)) : backend;
        const name = nameOf(parsed, fieldsOf(self, args));
        const result$ = withLock(its, name, () => inputOf(fn.apply(self, args), stream), lockOptions);
        return stream
          ? result$
          : result$.pipe(
              throwIfEmpty(() => refusalOf(its)),
              map(refuseStream(fn)),
            );
      });
    const wrapped: Work = stream
      ? function (...args) {
          return run(this, args);
        }
      : function (...args) {
          return lastValueFrom(run(this, args));
        };
    return inPlaceOf(fn, wrapped);
  };

  return (first: unknown, second?: unknown, third?: unknown): unknown => {
    if (isContext(second)) {
      if (second.kind !== 'method')
        throw new InvalidOptions([`synchronized decorates methods, and ${String(second.name)} is a ${second.kind}`]);
      return wrap(first, second.name);
    }
    if (typeof second !== 'string' && typeof second !== 'symbol')
      return wrap(first, typeof first === 'function' ? first.name : '');
    const descriptor = third as PropertyDescriptor | undefined;
    if (typeof descriptor?.value !== 'function')
      throw new InvalidOptions([`synchronized decorates methods, and ${String(second)} is none`]);
    descriptor.value = wrap(descriptor.value, second);
    return descriptor;
  };
}

function checked(options: SynchronizedOptions): SynchronizedOptions {
  check(options, { stream: FLAG });
  const { stream: _, ...lockOptions } = options;
  checkLock('the name is made when it is called', lockOptions);
  return options;
}

function checkBackend(backend: Backend): Backend {
  check({ backend }, { backend: objectWith('enter', 'look') }, ['backend']);
  return backend;
}

/** Why the work has not begun. */
function refusalOf({ name, session$ }: Backend): BackendClosed {
  let isDraining = false;
  const asking = session$.pipe(take(1)).subscribe(({ state }) => {
    isDraining = state === 'draining';
  });
  asking.unsubscribe();
  return new BackendClosed(name, isDraining ? 'draining' : 'closed');
}

function inputOf(result: unknown, isStream: boolean): ObservableInput<unknown> {
  if (isStream) return result as ObservableInput<unknown>;
  // Its `then` is called once: a query builder runs its query each time.
  return canHaveFields(result) && typeof result['then'] === 'function' ? Promise.resolve(result) : of(result);
}

/** What does its work only when it is subscribed to, or iterated over, would do it after the release. */
function refuseStream(fn: Work): (result: unknown) => unknown {
  return (result) => {
    const isStream = canHaveFields(result) && (typeof result['subscribe'] === 'function' || isLazy(result));
    if (isStream)
      throw new InvalidOptions([
        `stream must be true, since ${fn.name || 'the function'} returns what does its work later, when the lock is released`,
      ]);
    return result;
  };
}

function isLazy(result: object): boolean {
  return Symbol.asyncIterator in result || (Symbol.iterator in result && 'next' in result);
}

/** A thenable, or a stream, may be a function. */
function canHaveFields(value: unknown): value is Record<string, unknown> {
  return isObject(value) || typeof value === 'function';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isContext(second: unknown): second is { kind: string; name: string | symbol } {
  return isObject(second) && typeof second['kind'] === 'string' && 'name' in second;
}
