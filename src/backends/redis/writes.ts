/** The writes of one session whose outcome the store keeps, so that what is asked again is known again. */
export class Writes {
  readonly #sent = new Map<string, number>();
  readonly #answered = new Set<string>();

  /** It is about to be sent. Returns those whose outcomes the store need not keep any longer. */
  send(id: string): readonly string[] {
    this.#sent.set(id, (this.#sent.get(id) ?? 0) + 1);
    return [...this.#answered];
  }

  /** It was answered, and so the store knows that it need not keep those. What was asked more than once it keeps. */
  answered(id: string, forgotten: readonly string[]): void {
    for (const each of forgotten) this.#answered.delete(each);
    if (this.#sent.get(id) === 1) this.#answered.add(id);
    this.#sent.delete(id);
  }
}
