import { type Subscription, timer } from 'rxjs';
import type { StoreContext } from '../store.js';

const PREFIX = 'beat:';

/**
 * Each renewal comes back as a message in the session's channel. One that does not tells that messages are lost, and
 * the connection for them is half-open maybe.
 */
export class Heartbeat {
  #sent = 0;
  #heard = 0;
  #cuts = 0;
  #pending: Subscription | undefined;

  constructor(
    private readonly context: StoreContext,
    private readonly missed: () => void,
  ) {}

  /** A renewal is being sent. Once it is `answered`, its message is due. */
  send(): { readonly beat: number; readonly answered: () => void } {
    const beat = ++this.#sent;
    const cuts = this.#cuts;
    return {
      beat,
      answered: () => {
        if (cuts === this.#cuts) this.#expect(beat);
      },
    };
  }

  /** Whether the message was a heartbeat. */
  hear(message: string): boolean {
    if (!message.startsWith(PREFIX)) return false;
    this.#heard = Math.max(this.#heard, Number(message.slice(PREFIX.length)) || 0);
    return true;
  }

  /** The connection has broken: what was on its way is not waited for. */
  cut(): void {
    this.#cuts += 1;
    this.stop();
  }

  stop(): void {
    this.#pending?.unsubscribe();
    this.#pending = undefined;
  }

  #expect(beat: number): void {
    if (this.#heard >= beat || this.#pending !== undefined) return;
    this.#pending = timer(this.context.timing.requestTimeoutMs, this.context.scheduler).subscribe(() => {
      this.#pending = undefined;
      if (this.#heard < beat) this.missed();
    });
  }
}
