import type { ILeaseKeepAliveResponse, LeaseClient } from 'etcd3';
import { Observable, type Subscriber } from 'rxjs';
import { type StoreLocation, Unavailable } from '../errors.js';

type Stream = Awaited<ReturnType<LeaseClient['leaseKeepAlive']>>;

/**
 * Renewals of leases, over one stream, which is opened for the first of them. The server answers in the order of the
 * requests, so an answer belongs to the oldest request that has none, whether or not anybody still waits for it.
 */
export class KeepAliveStream {
  readonly #unanswered: Subscriber<ILeaseKeepAliveResponse>[] = [];
  #unsent: string[] = [];
  #stream: Stream | undefined;
  #isOpening = false;
  #isClosed = false;

  constructor(
    private readonly store: StoreLocation,
    private readonly open: () => Promise<Stream>,
    private readonly broken: (cause: unknown) => void,
    private readonly heard: () => void,
  ) {}

  renew(lease: string): Observable<ILeaseKeepAliveResponse> {
    return new Observable<ILeaseKeepAliveResponse>((subscriber) => {
      if (this.#isClosed) {
        subscriber.error(new Unavailable(this.store, 'renew', new Error('the connection is closed')));
        return;
      }
      this.#unanswered.push(subscriber);
      if (this.#stream !== undefined) this.#stream.write({ ID: lease });
      else {
        this.#unsent.push(lease);
        this.#openOnce();
      }
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unsent = [];
    this.#stream?.cancel();
    for (const subscriber of this.#unanswered.splice(0))
      subscriber.error(new Unavailable(this.store, 'renew', new Error('the connection is closed')));
  }

  #openOnce(): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    this.open().then(
      (stream) => {
        // A listener from the first moment on: an error that nobody hears would end the process.
        stream.on('error', this.broken);
        stream.on('end', () => this.broken(new Error('the stream of renewals has ended')));
        stream.on('data', (response) => {
          this.heard();
          const subscriber = this.#unanswered.shift();
          subscriber?.next(response);
          subscriber?.complete();
        });
        if (this.#isClosed) {
          stream.cancel();
          return;
        }
        this.#stream = stream;
        for (const lease of this.#unsent.splice(0)) stream.write({ ID: lease });
      },
      (cause: unknown) => this.broken(cause),
    );
  }
}
