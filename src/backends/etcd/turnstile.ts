/** Lets so many through at once, and the others after them in the order of their coming. */
export class Turnstile {
  readonly #waiting = new Set<() => void>();
  #inside = 0;

  constructor(private readonly width: number) {}

  /** Calls `enter` when there is room; what is returned says that one has gone, or no longer wants to enter. */
  pass(enter: () => void): () => void {
    let isInside = false;
    const goIn = (): void => {
      isInside = true;
      this.#inside++;
      enter();
    };
    if (this.#inside < this.width) goIn();
    else this.#waiting.add(goIn);
    let hasGone = false;
    return () => {
      if (hasGone) return;
      hasGone = true;
      this.#waiting.delete(goIn);
      if (!isInside) return;
      this.#inside--;
      const [next] = this.#waiting;
      if (next === undefined) return;
      this.#waiting.delete(next);
      next();
    };
  }
}
