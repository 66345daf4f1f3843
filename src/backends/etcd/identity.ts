/** As whom one asks: by a token that the server gives for user and password, and may forget. */
export class Identity {
  #token: Promise<string | undefined> | undefined;

  /** `authenticate` gives no token where none is needed. */
  constructor(private readonly authenticate: () => Promise<string | undefined>) {}

  /** The same one, until it is forgotten. */
  token(): Promise<string | undefined> {
    if (this.#token !== undefined) return this.#token;
    const token = this.authenticate();
    this.#token = token;
    // Whoever asks next tries again; whoever asked is told.
    token.catch(() => this.forget(token));
    return token;
  }

  forget(token: Promise<string | undefined>): void {
    if (this.#token === token) this.#token = undefined;
  }
}
