import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { interval, Observable, ReplaySubject, type Subscriber, type Subscription } from 'rxjs';
import { NotSupported } from '../errors.js';
import here from './here.cjs';
import type { FromThread, ThreadData, ThreadedAdapter, ToThread } from './messages.js';
import { receivedError } from './sent-error.js';
import { Pulse } from './shared-proof.js';

/** For what is still on its way to the store when everything is closed, such as a goodbye. */
const ENDING_MS = 1_000;

/** So often the loop shows that it turns, while the thread still takes it for alive. */
const BEATS = 4;
const LONGEST_BEAT_MS = 500;

/** What is told of a call. */
interface Call {
  sent?(): void;
  next(value: unknown): void;
  complete(): void;
  error(error: unknown): void;
}

/** How a call is unsubscribed from. */
type Cancellation = Extract<ToThread, { kind: 'cancel' }>;

/** A worker thread in which the adapter runs, as this side sees it. */
export class RenewalThread {
  /** Emits it when the adapter has loaded its client; errors with what keeps it from that. */
  readonly ready$: Observable<this>;
  readonly #ready = new ReplaySubject<this>(1);
  readonly #exit = new ReplaySubject<never>(1);
  readonly #worker: Worker;
  readonly #pulse = new Pulse();
  readonly #calls = new Map<number, Call>();
  readonly #sessions = new Set<object>();
  #beating: Subscription | undefined;
  #lastCall = 0;
  #addresses: readonly string[] | undefined;
  #isOver = false;
  #failure: unknown;

  /** **Throws** `NotSupported` where the file is missing that the thread is to run. */
  constructor(
    private readonly adapter: ThreadedAdapter,
    options: object,
    private readonly maxStallMs: number,
  ) {
    this.ready$ = this.#ready.asObservable();
    this.#pulse.beat();
    const workerData: ThreadData = { adapter, options, maxStallMs, pulse: this.#pulse.memory };
    this.#worker = new Worker(fileFor(adapter), { workerData, name: `conclave ${adapter}` });
    this.#worker.on('message', (message: FromThread) => this.#receive(message));
    this.#worker.on('messageerror', (error) => this.#fail(error));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', (code) => {
      this.#die(new Error(`the thread has ended with code ${code}`));
      this.#exit.complete();
    });
  }

  get isReady(): boolean {
    return this.#addresses !== undefined;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get addresses(): readonly string[] {
    return this.#addresses ?? [];
  }

  /** Has the thread do what `message` says of a call; gives what it tells of that. Unsubscribing cancels it there. */
  call<T>(
    message: (call: number) => ToThread,
    sent?: () => void,
    cancellation: (call: number, isSent: boolean) => Cancellation = (call) => ({ kind: 'cancel', call }),
  ): Observable<T> {
    return new Observable<T>((subscriber) => {
      if (this.#isOver) {
        subscriber.error(this.#failure ?? new Error('the thread has ended'));
        return;
      }
      this.#lastCall += 1;
      const call = this.#lastCall;
      let isSent = false;
      this.#calls.set(call, {
        sent: () => {
          isSent = true;
          sent?.();
        },
        ...told(subscriber),
      });
      subscriber.add(() => {
        if (this.#calls.delete(call)) this.#post(cancellation(call, isSent));
      });
      this.#post(message(call));
    });
  }

  /** As long as a session is open, this side shows that its loop turns, and the process does not end. */
  opened(session: object): void {
    this.#sessions.add(session);
    this.#pulse.beat();
    const beatMs = Math.min(LONGEST_BEAT_MS, this.maxStallMs / BEATS);
    this.#beating ??= interval(beatMs).subscribe(() => this.#pulse.beat());
    this.#worker.ref();
  }

  closed(session: object): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    this.#beating?.unsubscribe();
    this.#beating = undefined;
    if (this.isReady) this.#worker.unref();
  }

  /** Ends it when it has nothing left to do; completes when it has ended. */
  end(): Observable<never> {
    return new Observable((subscriber) => {
      this.#worker.ref();
      this.#post({ kind: 'release' });
      const late = setTimeout(() => this.terminate(), ENDING_MS);
      subscriber.add(() => clearTimeout(late));
      subscriber.add(this.#exit.subscribe(subscriber));
    });
  }

  /** Ends it at once. */
  terminate(): void {
    this.#isOver = true;
    // Its end is told by the event; nothing else can fail.
    void this.#worker.terminate();
  }

  #post(message: ToThread): void {
    if (!this.#isOver) this.#worker.postMessage(message);
  }

  #receive(message: FromThread): void {
    if (message.kind === 'ready') {
      this.#addresses = message.addresses;
      if (this.#sessions.size === 0) this.#worker.unref();
      this.#ready.next(this);
      this.#ready.complete();
      return;
    }
    if (message.kind === 'refused') {
      this.#ready.error(receivedError(message.error));
      this.terminate();
      return;
    }
    const call = this.#calls.get(message.call);
    // Of one that was unsubscribed from meanwhile.
    if (call === undefined) return;
    if (message.kind === 'complete' || message.kind === 'last' || message.kind === 'error')
      this.#calls.delete(message.call);
    if (message.kind === 'sent') call.sent?.();
    else if (message.kind === 'error') call.error(receivedError(message.error));
    else {
      if (message.kind !== 'complete') call.next(message.value);
      if (message.kind !== 'next') call.complete();
    }
  }

  /** A thread of which nothing can be known any more is none. */
  #fail(cause: unknown): void {
    this.#die(cause);
    this.terminate();
  }

  #die(cause: unknown): void {
    this.#failure ??= cause;
    this.#isOver = true;
    this.#beating?.unsubscribe();
    const failure = this.#failure;
    this.#ready.error(
      new NotSupported(this.adapter, "renewal: 'thread' here, since its thread does not start", failure),
    );
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.error(failure);
  }
}

function told<T>(subscriber: Subscriber<T>): Call {
  return {
    next: (value) => subscriber.next(value as T),
    complete: () => subscriber.complete(),
    error: (error) => subscriber.error(error),
  };
}

/** Beside this one, in the package; nobody knows where it would be in a bundle. */
function fileFor(adapter: ThreadedAdapter): string {
  const file = join(dirname(here), 'worker.js');
  if (basename(here) === 'here.cjs' && existsSync(file)) return file;
  throw new NotSupported(adapter, "renewal: 'thread' in a bundle: leave conclave out of it, as a package of its own");
}
