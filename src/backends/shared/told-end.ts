/**
 * An end that an `AbortSignal` tells. The signal, and the reason that it aborts with, are made when somebody asks for the signal:
 * most of what is held comes to its end without that.
 */
export class ToldEnd {
  #controller: AbortController | undefined;
  #reason: (() => unknown) | undefined;

  /** The first one counts. */
  tell(reason: () => unknown): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason());
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason());
    }
    return this.#controller.signal;
  }
}
