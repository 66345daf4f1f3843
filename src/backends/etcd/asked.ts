/** What was asked, of whom, and by whom. */
export interface Asked {
  readonly operation: string;
  readonly address: string;
  readonly username: string | undefined;
  /** The method called, and what was sent to it. */
  readonly path?: string;
  readonly message?: unknown;
}

/** More are not shown. */
const MOST_KEYS = 4;

/** The keys that a request names, wherever in it, as they are shown to people. */
export function keysOf(request: unknown): string {
  const found = new Set<string>();
  const look = (part: unknown): void => {
    if (typeof part !== 'object' || part === null || part instanceof Uint8Array) return;
    if ('key' in part && part.key instanceof Uint8Array) found.add(shown(part.key, 'range_end' in part));
    for (const each of Object.values(part)) look(each);
  };
  look(request);
  const keys = [...found];
  const more = keys.length > MOST_KEYS ? [`${keys.length - MOST_KEYS} more`] : [];
  return keys.length === 0 ? 'what it asked for' : [...keys.slice(0, MOST_KEYS), ...more].join(', ');
}

function shown(key: Uint8Array, isPrefix: boolean): string {
  return `${JSON.stringify(Buffer.from(key).toString())}${isPrefix ? ' and what begins with it' : ''}`;
}
