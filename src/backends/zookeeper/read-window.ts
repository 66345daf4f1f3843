import { Observable } from 'rxjs';

/** What may be on its way at a time: on a slow link, a heartbeat's answer comes behind it. */
const MOST_BYTES = 256 * 1024;
/** How many reads, however small their answers were so far: the next ones may be larger. */
const MOST_READS = 64;
/** As long as no answer tells more. */
const FIRST_GUESS_BYTES = 16 * 1024;

/**
 * Lets so many reads go out at a time that their answers, if they are as large as those before, do not keep others
 * waiting. What waits here has not been sent, so whoever gives up takes it back.
 */
export class ReadWindow {
  readonly #waiting = new Set<() => void>();
  #expectedBytes = FIRST_GUESS_BYTES;
  #outstanding = 0;
  #isLetting = false;

  through<T>(read: Observable<T>, bytesOf: (answer: T) => number): Observable<T> {
    return new Observable<T>((subscriber) => {
      const send = (): void => {
        this.#outstanding++;
        // Whoever gives up now does not keep the answer from coming, so it is heard out.
        read
          .subscribe({
            next: (answer) => {
              this.#learn(bytesOf(answer));
              subscriber.next(answer);
            },
            error: (error) => subscriber.error(error),
            complete: () => subscriber.complete(),
          })
          .add(() => {
            this.#outstanding--;
            this.#letGo();
          });
      };
      this.#waiting.add(send);
      this.#letGo();
      return () => this.#waiting.delete(send);
    });
  }

  get #hasRoom(): boolean {
    const most = Math.min(MOST_READS, Math.max(1, Math.floor(MOST_BYTES / this.#expectedBytes)));
    return this.#outstanding < most;
  }

  /** Large answers are expected at once, small ones after some. */
  #learn(bytes: number): void {
    this.#expectedBytes = Math.max(1, bytes, this.#expectedBytes * 0.75 + bytes * 0.25);
  }

  #letGo(): void {
    if (this.#isLetting) return;
    this.#isLetting = true;
    for (const send of this.#waiting) {
      if (!this.#hasRoom) break;
      this.#waiting.delete(send);
      send();
    }
    this.#isLetting = false;
  }
}
