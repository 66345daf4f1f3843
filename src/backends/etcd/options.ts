import { InvalidOptions, InvalidUrl } from '../errors.js';
import { type Either, isLeft, left, right } from '../shared/either.js';
import {
  type Expectation,
  either,
  FUNCTION,
  listOf,
  objectOf,
  objectWith,
  TEXT,
  unknownIn,
  violationsOf,
} from '../shared/expectations.js';
import { type BackendOptions, COMMON } from '../shared/options.js';
import { RENEWAL, RENEWAL_IN_URL, type RenewalOptions, renewalViolations } from '../shared/renewal.js';
import { type Host, queryOptions, type StoreUrl } from '../shared/url.js';

/** The port of etcd's clients where none is given. */
const DEFAULT_PORT = 2379;

/**
 * What a URL can say, too. `namespace` is empty by default, and otherwise stands, with a slash, before every key. No type of
 * the client's package is named here.
 */
export interface EtcdUrlOptions extends BackendOptions, RenewalOptions {
  /** Members of one cluster, as `host:port`, each with `https://` before it if TLS is to be used. Default `127.0.0.1:2379`. */
  readonly hosts?: string | readonly string[] | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Certificates in PEM, where those of the system do not do. Turns TLS on. */
  readonly tls?: EtcdTls | undefined;
}

/** Certificates in PEM. */
export interface EtcdTls {
  /** Of the authority that signed the server's. */
  readonly rootCertificate: Buffer;
  /** The client's own, where the server wants one. */
  readonly privateKey?: Buffer | undefined;
  readonly certChain?: Buffer | undefined;
}

/** Reads `etcd://user:password@host:port,host:port?option=value`, or `etcds:` for TLS with the system's certificates. */
export function etcdFromUrl(url: StoreUrl): Either<InvalidUrl | InvalidOptions, EtcdUrlOptions> {
  if (url.path !== '')
    return left(
      new InvalidUrl(
        shown(url),
        `etcd has no path: what keeps fleets apart is the option ?namespace=${encodeURIComponent(url.path)}`,
      ),
    );
  if (url.password !== undefined && url.username === undefined)
    return left(new InvalidUrl(shown(url), 'it has a password, but no user'));
  const options = queryOptions(url, RENEWAL_IN_URL);
  if (isLeft(options)) return options;
  const scheme = url.scheme === 'etcds' ? 'https://' : '';
  const isSaid = url.hosts.length > 0 || scheme !== '';
  const hosts = url.hosts.length === 0 ? [{ host: '127.0.0.1', port: undefined }] : url.hosts;
  return right({
    ...options.right,
    ...(isSaid && { hosts: hosts.map((host) => scheme + authority(host)) }),
    ...(url.username === undefined ? {} : { username: url.username, password: url.password ?? '' }),
  });
}

// Asked in browsers, too, which have no `Buffer`.
const BYTES: Expectation = ['a Buffer', (value) => ArrayBuffer.isView(value)];

const FIELDS: Readonly<Record<string, Expectation>> = {
  ...COMMON,
  ...RENEWAL,
  hosts: either(TEXT, listOf(TEXT)),
  username: TEXT,
  password: TEXT,
  tls: objectOf({ rootCertificate: BYTES }, { privateKey: BYTES, certChain: BYTES }),
  client: either(FUNCTION, objectWith()),
};

/** The hosts to connect to, in the order given; the left side names what contradicts. */
export function checkHosts(
  options: EtcdUrlOptions & { readonly client?: unknown },
): Either<InvalidOptions, readonly string[]> {
  const mistyped = [...violationsOf(options, FIELDS), ...unknownIn(options, FIELDS)];
  if (mistyped.length > 0) return left(new InvalidOptions(mistyped));
  const { hosts = `127.0.0.1:${DEFAULT_PORT}`, client, username, password, tls } = options;
  const list = typeof hosts === 'string' ? [hosts] : hosts;
  const violations = renewalViolations(options);
  if (list.length === 0) violations.push('hosts must name at least one member');
  for (const host of list)
    if (host === '' || /[\s/,]/.test(host.replace(/^https?:\/\//, '')))
      violations.push(`hosts must be of the form host:port, and ${JSON.stringify(host)} is not`);
  if (new Set(list.map((host) => String(host).startsWith('https://'))).size > 1)
    violations.push('hosts must all begin with https://, or none of them');
  if (tls !== undefined && list.some((host) => host.startsWith('http://')))
    violations.push('hosts must not begin with http:// beside tls, with which all are spoken to');
  if (tls !== undefined && (tls.privateKey === undefined) !== (tls.certChain === undefined))
    violations.push('tls must hold privateKey and certChain, or neither of them');
  if (password !== undefined && username === undefined) violations.push('password needs a username');
  const beside = Object.entries({ hosts: options.hosts, username, password, tls }).filter(
    ([, value]) => value !== undefined,
  );
  if (client !== undefined && beside.length > 0)
    violations.push(
      `client says how to connect, so ${beside.map(([name]) => name).join(', ')} must not be given beside it`,
    );
  if (isNamespaced(client)) violations.push(NAMESPACED);
  return violations.length === 0 ? right(list) : left(new InvalidOptions(violations));
}

export const NAMESPACED =
  'client must be a client of its own, and not a namespace of one, which would be left out: give the option namespace';

/** What `namespace()` of a client makes has all that is used of a client, and its prefix would be dropped. */
export function isNamespaced(client: unknown): boolean {
  const prefix = typeof client === 'object' && client !== null && 'prefix' in client ? client.prefix : undefined;
  return ArrayBuffer.isView(prefix) && prefix.byteLength > 0;
}

function authority({ host, port = DEFAULT_PORT }: Host): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function shown({ scheme, hosts, path }: StoreUrl): string {
  return `${scheme}://${hosts.map(authority).join(',')}/${path}`;
}
