/** Who stands in a row; `leave` takes it out. */
export class Stander<T> {
  /** @internal */
  before: Stander<T> | undefined;
  /** @internal */
  after: Stander<T> | undefined;
  #row: Row<T> | undefined;

  constructor(
    readonly value: T,
    row: Row<T>,
  ) {
    this.#row = row;
  }

  get stands(): boolean {
    return this.#row !== undefined;
  }

  leave(): void {
    this.#row?.close(this);
    this.#row = undefined;
    this.before = undefined;
    this.after = undefined;
  }
}

/**
 * Those who are to be told of something, in the order in which they came. Unlike a Set it is not made anew now and then: such
 * a copy, once it is old, keeps alive what stood in it, and that all that came after.
 */
export class Row<T> {
  #first: Stander<T> | undefined;
  #last: Stander<T> | undefined;

  get first(): Stander<T> | undefined {
    return this.#first;
  }

  add(value: T): Stander<T> {
    const stander = new Stander(value, this);
    stander.before = this.#last;
    if (this.#last === undefined) this.#first = stander;
    else this.#last.after = stander;
    this.#last = stander;
    return stander;
  }

  /** All who stand here now, but for those who have left by the time that it is their turn. */
  *[Symbol.iterator](): Generator<T> {
    const all: Stander<T>[] = [];
    for (let at = this.#first; at !== undefined; at = at.after) all.push(at);
    for (const stander of all) if (stander.stands) yield stander.value;
  }

  /** @internal */
  close({ before, after }: Stander<T>): void {
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
  }
}
