import { map, Observable, Subscription, throwError } from 'rxjs';
import { Unavailable } from '../errors.js';
import { monotonicScheduler, SuspendWatch } from '../kernel/clock.js';
import { hostEnvironment } from '../kernel/environment.js';
import type { Stores } from '../kernel/sharded-backend.js';
import type { StoreContext } from '../store.js';
import { type FromThread, type Method, type SessionEvent, sendable, type ToThread } from './messages.js';
import { sentError } from './sent-error.js';
import { ServedSession } from './served-session.js';
import { type Pulse, SharedProof } from './shared-proof.js';

type Opening = Extract<ToThread, { kind: 'open' }>;
type Asking = Extract<ToThread, { kind: 'ask' }>;

/** What gives values until it is unsubscribed from; all else gives one, if any. */
const STREAMS: ReadonlySet<Method> = new Set(['place', 'entries', 'registered', 'cell'] satisfies Method[]);

/** Opens sessions, and carries out what is asked of them, each call by its number. */
export class ServedSessions {
  readonly #sessions = new Map<number, ServedSession>();
  readonly #calls = new Map<number, Subscription>();

  constructor(
    private readonly stores: Stores,
    private readonly pulse: Pulse,
    private readonly maxStallMs: number,
    private readonly post: (message: FromThread) => void,
  ) {}

  heed(message: Exclude<ToThread, { kind: 'release' }>): void {
    switch (message.kind) {
      case 'open':
        this.#run(message.call, this.#open(message), true);
        break;
      case 'ask':
        this.#run(message.call, this.#ask(message), STREAMS.has(message.method));
        break;
      case 'cancel':
        this.#calls.get(message.call)?.unsubscribe();
        if (message.unsent !== undefined) this.#sessions.get(message.unsent.session)?.withdraw(message.unsent.entry);
        break;
    }
  }

  #run(call: number, source: Observable<unknown>, isStream: boolean): void {
    const running = new Subscription();
    this.#calls.set(call, running);
    running.add(() => this.#calls.delete(call));
    let last: { readonly value: unknown } | undefined;
    running.add(
      source.subscribe({
        next: (value) => {
          if (isStream) this.post({ kind: 'next', call, value });
          else last = { value };
        },
        error: (error) => {
          running.unsubscribe();
          this.post({ kind: 'error', call, error: sentError(error) });
        },
        complete: () => {
          running.unsubscribe();
          this.post(last === undefined ? { kind: 'complete', call } : { kind: 'last', call, value: last.value });
        },
      }),
    );
  }

  #open({ call, shard, timing, proof }: Opening): Observable<SessionEvent> {
    return new Observable((subscriber) => {
      const tell = (event: SessionEvent): void => subscriber.next(event);
      // From before anything is sent: the machine may be suspended while the answer is on its way.
      const suspensions = new SuspendWatch(monotonicScheduler);
      const store = this.stores[shard] ?? this.stores[0];
      const context: StoreContext = {
        timing,
        scheduler: monotonicScheduler,
        now: () => monotonicScheduler.now(),
        newId: hostEnvironment.newId,
        fault: (fault) => tell({ what: 'fault', fault: sentError(fault) }),
      };
      const serving = {
        ...{ store, context, suspensions, tell, pulse: this.pulse, maxStallMs: this.maxStallMs },
        proof: new SharedProof(proof),
        sent: (its: number) => this.post({ kind: 'sent', call: its }),
      };
      let session: ServedSession | undefined;
      subscriber.add(() => {
        this.#sessions.delete(call);
        session?.dispose();
      });
      subscriber.add(
        store.open(context).subscribe({
          next: (opened) => {
            session = new ServedSession(opened, serving);
            this.#sessions.set(call, session);
          },
          error: (cause) => {
            session?.lose(cause);
            subscriber.error(cause);
          },
          complete: () => subscriber.complete(),
        }),
      );
    });
  }

  #ask({ call, session, method, args }: Asking): Observable<unknown> {
    const its = this.#sessions.get(session);
    if (its === undefined)
      return throwError(() => new Unavailable(this.stores[0], method, new Error('its session is closed')));
    return its.ask(call, method, args).pipe(map((value) => sendable(method, value)));
  }
}
