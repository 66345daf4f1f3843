import type { IEvent, IWatchRequest, IWatchResponse, WatchClient } from 'etcd3';
import { Observable, type Subscriber } from 'rxjs';
import { NotSupported, type StoreLocation, Unavailable } from '../errors.js';
import type { KeyRange } from './layout.js';
import { rangeOf } from './requests.js';

type Stream = Awaited<ReturnType<WatchClient['watch']>>;

/** What a server gives as the id of a watch that it refuses. */
const NO_WATCH = '-1';

/** `created` comes first: whatever happens after its revision follows. What came before is for whoever watches to read. */
export interface Watched {
  readonly created: boolean;
  readonly revision: bigint;
  readonly events: readonly IEvent[];
}

interface Watcher {
  readonly range: KeyRange;
  readonly subscriber: Subscriber<Watched>;
}

/** The revision that a watch was to begin at has been compacted. */
class Compacted extends Error {}

export function isCompacted(error: unknown): boolean {
  return error instanceof Unavailable && error.cause instanceof Compacted;
}

export interface WatchStreamOptions {
  readonly store: StoreLocation;
  open(): Promise<Stream>;
  /** Says what a refusal means for whoever watches this. */
  refused(range: KeyRange, why: Error): Observable<never>;
  broken(cause: unknown): void;
}

/**
 * All watches of a connection, over one stream, which is opened for the first of them.
 *
 * A watch begins at the store's present, unless it is told a revision: one that begins in the past is served in batches,
 * every 100 ms, and errors with `Compacted` as the cause where that past is gone. When the connection breaks every watch errors with `Unavailable`; none is resumed.
 */
export class WatchStream {
  readonly #watchers = new Map<string, Watcher>();
  /** Whose creation has not been answered: the server answers in the order of the requests. */
  readonly #uncreated: string[] = [];
  #unsent: IWatchRequest[] = [];
  #stream: Stream | undefined;
  #isOpening = false;
  #isClosed = false;
  #lastId = 0;

  constructor(private readonly options: WatchStreamOptions) {}

  watch(range: KeyRange, only: 'deletions' | 'all', from?: bigint): Observable<Watched> {
    return new Observable<Watched>((subscriber) => {
      if (this.#isClosed) {
        subscriber.error(this.#unavailable(new Error('the connection is closed')));
        return undefined;
      }
      const id = String(++this.#lastId);
      this.#watchers.set(id, { range, subscriber });
      this.#uncreated.push(id);
      this.#send({
        create_request: {
          ...rangeOf(range),
          watch_id: id,
          filters: only === 'deletions' ? ['Noput'] : [],
          ...(from !== undefined && { start_revision: String(from) }),
        },
      });
      return () => {
        if (this.#watchers.delete(id)) this.#send({ cancel_request: { watch_id: id } });
      };
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unsent = [];
    this.#stream?.cancel();
    const watchers = [...this.#watchers.values()];
    this.#watchers.clear();
    for (const { subscriber } of watchers) subscriber.error(this.#unavailable(new Error('the connection is closed')));
  }

  #send(request: IWatchRequest): void {
    if (this.#isClosed) return;
    if (this.#stream !== undefined) this.#stream.write(request);
    else {
      this.#unsent.push(request);
      this.#openOnce();
    }
  }

  #openOnce(): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    this.options.open().then(
      (stream) => {
        // A listener from the first moment on: an error that nobody hears would end the process.
        stream.on('error', (cause) => this.#failed(cause));
        stream.on('end', () => this.#failed(new Error('the stream of watches has ended')));
        stream.on('data', (response) => this.#receive(response));
        if (this.#isClosed) {
          stream.cancel();
          return;
        }
        this.#stream = stream;
        for (const request of this.#unsent.splice(0)) stream.write(request);
      },
      (cause: unknown) => this.#failed(cause),
    );
  }

  /** One that was closed here ends with an error, too. */
  #failed(cause: unknown): void {
    if (!this.#isClosed) this.options.broken(cause);
  }

  #receive(response: IWatchResponse): void {
    const { created, canceled, header, events } = response;
    const asked = created ? (this.#uncreated.shift() ?? '') : response.watch_id;
    // Some versions refuse a watch without saying which.
    const id = created && canceled && response.watch_id === NO_WATCH ? asked : response.watch_id;
    if (id !== asked) {
      this.#strange();
      return;
    }
    const watcher = this.#watchers.get(id);
    if (watcher === undefined) return;
    if (canceled) {
      this.#watchers.delete(id);
      this.#canceled(watcher, response);
    } else watcher.subscriber.next({ created, revision: BigInt(header.revision), events });
  }

  #unavailable(why: Error): Unavailable {
    return new Unavailable(this.options.store, 'watch', why);
  }

  /** What chooses the ids itself stands in between, and answers for the store in other things, too. */
  #strange(): void {
    const server = `${this.options.store.address}, which is an etcd grpc-proxy, or older than etcd 3.4: no renewal would be proved through it. Connect to the members themselves`;
    const failure = new NotSupported('etcd', server);
    const watchers = [...this.#watchers.values()];
    this.#watchers.clear();
    this.options.broken(failure);
    for (const { subscriber } of watchers) subscriber.error(failure);
  }

  #canceled({ range, subscriber }: Watcher, { created, cancel_reason, compact_revision }: IWatchResponse): void {
    if (created && compact_revision === '0') {
      this.options.refused(range, new Error(cancel_reason)).subscribe(subscriber);
      return;
    }
    const why =
      compact_revision === '0'
        ? new Error(cancel_reason || 'the server has cancelled the watch')
        : new Compacted(`what came before revision ${compact_revision} is gone`);
    subscriber.error(this.#unavailable(why));
  }
}
