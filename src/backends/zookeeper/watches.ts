/** `data` watches tell that a node came, changed or went; `child` ones that its children did. */
export type WatchKind = 'data' | 'child';

/** Told once, and whether the node has gone. */
export type Fired = (isGone: boolean) => void;

/** How many watches that nobody waits for any more stay on the server, in case somebody does again. */
const MOST_IDLE = 1_000;

/**
 * The watches of one connection. Any number of listeners share one watch on the server, which fires once. The client
 * cannot take a watch back; those that were given up are kept for whoever comes next, and beyond a number of
 * them `forget` is called for the oldest.
 */
export class Watches {
  readonly #listeners = new Map<string, Set<Fired>>();
  readonly #armed = new Set<string>();
  readonly #idle = new Set<string>();

  constructor(private readonly forget: (kind: WatchKind, path: string) => void) {}

  /** Calls `fired` once, when the watch on `path` fires; call what is returned to give up. */
  listen(kind: WatchKind, path: string, fired: Fired): () => void {
    const key = keyOf(kind, path);
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners);
    listeners.add(fired);
    this.#idle.delete(key);
    return () => {
      if (!listeners.delete(fired) || listeners.size > 0) return;
      if (this.#listeners.get(key) === listeners) this.#listeners.delete(key);
      this.#rest(key);
    };
  }

  /** The server has set the watch. */
  armed(kind: WatchKind, path: string): void {
    const key = keyOf(kind, path);
    this.#armed.add(key);
    this.#rest(key);
  }

  /** The server says that the watch has fired, and whether because the node has gone. */
  fire(kind: WatchKind, path: string, isGone: boolean): void {
    const key = keyOf(kind, path);
    this.#armed.delete(key);
    this.#idle.delete(key);
    const listeners = this.#listeners.get(key);
    this.#listeners.delete(key);
    for (const fired of [...(listeners ?? [])]) if (listeners?.delete(fired)) fired(isGone);
  }

  #rest(key: string): void {
    if (!this.#armed.has(key) || this.#listeners.has(key)) return;
    this.#idle.add(key);
    if (this.#idle.size <= MOST_IDLE) return;
    const [oldest] = this.#idle;
    if (oldest === undefined) return;
    this.#idle.delete(oldest);
    this.#armed.delete(oldest);
    this.forget(oldest.startsWith('data:') ? 'data' : 'child', oldest.slice(oldest.indexOf(':') + 1));
  }
}

function keyOf(kind: WatchKind, path: string): string {
  return `${kind}:${path}`;
}
