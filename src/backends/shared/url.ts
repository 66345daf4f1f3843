import { InvalidOptions, InvalidUrl } from '../errors.js';
import { type Either, left, right } from './either.js';
import { shown } from './expectations.js';

/** A connection URL taken apart: `scheme://user:password@host:port,host:port/path?name=value`. */
export interface StoreUrl {
  readonly scheme: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly hosts: readonly Host[];
  /** What follows the hosts, without its first slash, decoded. */
  readonly path: string;
  readonly query: ReadonlyMap<string, string>;
}

/** One server. An IPv6 address stands without its brackets. */
export interface Host {
  readonly host: string;
  readonly port: number | undefined;
}

/** How the text of an option in a query is read. */
export type OptionKind = 'number' | 'bigint' | 'text' | 'flag';

type OptionValue = string | number | bigint | boolean;

/** Options that every URL may carry. */
const COMMON: Readonly<Record<string, OptionKind>> = {
  ttlMs: 'number',
  renewEveryMs: 'number',
  guardMs: 'number',
  drift: 'number',
  requestTimeoutMs: 'number',
  initialBackoffMs: 'number',
  maxBackoffMs: 'number',
  failFastMs: 'number',
  closeTimeoutMs: 'number',
  giveUpAt: 'text',
  tokenBase: 'bigint',
  namespace: 'text',
};

/** Takes a URL apart. Unlike WHATWG's parser it knows several hosts. */
export function parseUrl(text: unknown): Either<InvalidUrl, StoreUrl> {
  if (typeof text !== 'string') return left(new InvalidUrl(shown(text), 'it is not a string'));
  const fail = (reason: string): Either<InvalidUrl, StoreUrl> => left(new InvalidUrl(withoutPassword(text), reason));
  const match = /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?$/is.exec(text);
  if (match === null) return fail('it is not of the form scheme://user:password@host:port/path?option=value');
  const [, scheme = '', authority = '', path = '', query = ''] = match;
  // A password that holds one of these unescaped ends the authority before its @, and would be taken for something else.
  if (`${path}${query}`.includes('@'))
    return fail('there is an @ behind the hosts; in a user or password, / ? # are written as %2F %3F %23');
  const at = authority.lastIndexOf('@');
  const [username, password] = at < 0 ? [] : splitOnce(authority.slice(0, at), ':');
  const hosts: Host[] = [];
  for (const part of authority.slice(at + 1).split(',')) {
    if (part === '' && authority.slice(at + 1) === '') break;
    const host = parseHost(part);
    if (host === undefined) return fail(`"${part}" is not a host with an optional port from 1 to 65535`);
    hosts.push(host);
  }
  try {
    const options = new Map<string, string>();
    for (const [name, value] of new URLSearchParams(query)) {
      if (options.has(name)) return fail(`the option ${name} stands twice`);
      options.set(name, value);
    }
    return right({
      scheme: scheme.toLowerCase(),
      username: username === undefined || username === '' ? undefined : decodeURIComponent(username),
      password: password === undefined ? undefined : decodeURIComponent(password),
      hosts,
      path: decodeURIComponent(path.replace(/^\//, '')),
      query: options,
    });
  } catch {
    return fail('a percent sign in it is not followed by two hexadecimal digits of UTF-8');
  }
}

/** Reads the options in a query; the left side names each that is unknown or cannot be read. */
export function queryOptions(
  url: StoreUrl,
  own: Readonly<Record<string, OptionKind>> = {},
): Either<InvalidOptions, Readonly<Record<string, OptionValue>>> {
  const known = new Map(Object.entries({ ...COMMON, ...own }));
  const options: Record<string, OptionValue> = {};
  const violations: string[] = [];
  for (const [name, text] of url.query) {
    const kind = known.get(name);
    const value = kind === undefined ? undefined : readOption(kind, text);
    if (value !== undefined) options[name] = value;
    else if (kind === undefined)
      violations.push(`${name} is not an option of ${url.scheme}: (known are ${[...known.keys()].join(', ')})`);
    else
      violations.push(
        `${name} must be a ${kind === 'flag' ? 'true or false' : kind === 'bigint' ? 'whole number' : kind}, but is ${JSON.stringify(text)}`,
      );
  }
  return violations.length === 0 ? right(options) : left(new InvalidOptions(violations));
}

function readOption(kind: OptionKind, text: string): OptionValue | undefined {
  if (kind === 'text') return text;
  if (kind === 'flag') return text === 'true' ? true : text === 'false' ? false : undefined;
  if (kind === 'bigint') return /^\d+$/.test(text) ? BigInt(text) : undefined;
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

function parseHost(text: string): Host | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^[\]:\s]+))(?::(\d{1,5}))?$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) return undefined;
  const port = match[3] === undefined ? undefined : Number(match[3]);
  return port === undefined || (port >= 1 && port <= 65_535) ? { host, port } : undefined;
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function withoutPassword(text: string): string {
  return text.replace(/^([^:]*:\/{0,2}).*@/s, '$1***@');
}
