import { Observable } from 'rxjs';
import {
  ResourceChanged,
  ResourceNotFound,
  StaleToken,
  UnexpectedStatus,
  UnfenceableResource,
} from '../backends/fencing-errors.js';
import { type Expectation, FUNCTION, objectWith, shown } from '../backends/shared/expectations.js';
import { withMembers } from './json-members.js';
import { checkWrite, type FencedWrite, NAME, refuse } from './write.js';

/** As much of `fetch` as is needed. */
export type Fetch = (
  url: string,
  init: {
    readonly method: 'GET' | 'PUT';
    readonly headers: Record<string, string>;
    readonly cache: 'no-store';
    readonly signal: AbortSignal;
    readonly body?: string;
  },
) => Promise<{
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
}>;

/** What is written into a JSON document. */
export interface HttpWrite extends FencedWrite {
  /** The field of the document in which it keeps the token, in decimal. Default `fencing_token`. */
  readonly tokenField?: string;
  /** Sent with each request, as for a login. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: that of the platform. */
  readonly fetch?: Fetch;
}

/**
 * Writes fields of a JSON document behind a URL, unless one with a greater token has: then the holder is one of the past. The
 * document itself keeps the token.
 *
 * Cold: each subscription reads and writes.
 *
 *     output   ---(u|)       u is undefined: it is written
 *     stale    ---#          StaleToken
 *
 * `GET` reads the document, its token and its `ETag`. `PUT` with `If-Match` writes it, with `set` and the token, unless it was
 * changed in between (412): then it is read again to tell why. Other fields are written as they stood there, to the last digit.
 *
 * **Emits** `undefined`, once, when it is written. The same token may write as often as it likes.
 * **Errors** `StaleToken`; `ResourceChanged` where somebody without a greater token was quicker, after which `retryWithBackoff` reads anew;
 * `ResourceNotFound`; `UnfenceableResource` where there is no strong `ETag`, no JSON object, or no token in the token's place;
 * `UnexpectedStatus`; what `fetch` errors with, as it is: it may have been written. `InvalidOptions` (thrown at the call).
 * **Completes** after that.
 * **Teardown** aborts the request under way, which may still take effect.
 * **Guarantee** not where the server does not heed `If-Match`, or changes a document without another `ETag`. But: no write of
 * a holder whose token is smaller than the document's.
 * **Source** RFC 9110, section 13; Kleppmann, "How to do distributed locking".
 *
 * @example
 * withLock(backend, 'invoice-42', ({ token }) =>
 *   fencedHttp('https://billing.example/invoices/42', { set: { status: 'paid' }, token }),
 * ).subscribe();
 */
export function fencedHttp(url: string | URL, write: HttpWrite): Observable<void> {
  const {
    fetch = globalThis.fetch as Fetch,
    headers = {},
    tokenField = 'fencing_token',
    ...rest
  } = checked(url, write);
  const { origin, pathname, href } = new URL(url);
  const target: Target = {
    ...rest,
    fields: textsOf(rest.set),
    url: href,
    resource: `document ${origin}${pathname}`,
    fetch,
    headers,
    tokenField,
  };
  return new Observable<void>((subscriber) => {
    const ending = new AbortController();
    subscriber.add(() => ending.abort());
    writeDocument(target, ending.signal).then(
      () => {
        subscriber.next();
        subscriber.complete();
      },
      (error: unknown) => subscriber.error(error),
    );
  });
}

interface Target extends FencedWrite {
  /** `set`, with its values in JSON. */
  readonly fields: ReadonlyMap<string, string>;
  readonly url: string;
  readonly resource: string;
  readonly tokenField: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: Fetch;
}

const TEXTS: Expectation = [
  'an object of strings',
  (value) => objectWith()[1](value) && Object.values(value as object).every((one) => typeof one === 'string'),
];
const URL_TEXT: Expectation = [
  'an http: or https: URL without a login',
  (value) => {
    const text = String(value);
    if ((typeof value !== 'string' && !(value instanceof URL)) || !URL.canParse(text)) return false;
    const { protocol, username, password } = new URL(text);
    return /^https?:$/.test(protocol) && username === '' && password === '';
  },
];

function checked(url: string | URL, write: HttpWrite): HttpWrite {
  const tokenName = typeof write?.tokenField === 'string' ? write.tokenField : 'fencing_token';
  checkWrite(write, tokenName, { tokenField: NAME, headers: TEXTS, fetch: FUNCTION }, []);
  const violations = URL_TEXT[1](url) ? [] : [`url must be ${URL_TEXT[0]}`];
  try {
    textsOf(write.set);
  } catch (error) {
    violations.push(`set must be JSON, but ${String(error)}`);
  }
  refuse(violations);
  return write;
}

/** Throws where JSON has no word for a value: what `JSON.stringify` leaves out, or writes as `null`, would be lost. */
function textsOf(set: FencedWrite['set']): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(set).map(([name, value]) => {
      const text = JSON.stringify(value, (_, one) => {
        if (typeof one === 'number' && !Number.isFinite(one))
          throw new TypeError(`${name} has a number that is ${one}`);
        return one;
      });
      if (text === undefined) throw new TypeError(`${name} has no value in JSON`);
      return [name, text];
    }),
  );
}

/** A document, and how to say that it is this one that is to be replaced; `undefined` where there is none. */
interface Version {
  readonly text: string;
  readonly etag: string;
}

async function writeDocument(target: Target, signal: AbortSignal): Promise<void> {
  const { resource, token, tokenField, fields, create = false } = target;
  const version = await read(target, signal);
  if (version === undefined && !create) throw new ResourceNotFound(resource);
  const condition: Record<string, string> =
    version === undefined ? { 'if-none-match': '*' } : { 'if-match': version.etag };
  const { status } = await request(target, signal, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', ...condition },
    body: withMembers(version?.text ?? '{}', new Map([...fields, [tokenField, `"${token}"`]])),
  });
  if (status >= 200 && status < 300) return;
  if (status === 404 || status === 410) throw new ResourceNotFound(resource);
  if (status !== 412) throw new UnexpectedStatus(resource, 'PUT', status);
  await read(target, signal);
  throw new ResourceChanged(resource);
}

/** Throws `StaleToken` where the document has seen a greater token. */
async function read(target: Target, signal: AbortSignal): Promise<Version | undefined> {
  const { resource, token, tokenField } = target;
  const { status, etag, text } = await request(target, signal, {
    method: 'GET',
    headers: { accept: 'application/json' },
  });
  if (status === 404 || status === 410) return undefined;
  if (status !== 200) throw new UnexpectedStatus(resource, 'GET', status);
  const document = jsonOf(text);
  if (!isDocument(document)) throw new UnfenceableResource(resource, 'it is no JSON object');
  const seen = tokenIn(document[tokenField]);
  if (seen === undefined)
    throw new UnfenceableResource(resource, `its ${tokenField} is ${shown(document[tokenField]).slice(0, 100)}`);
  if (seen > token) throw new StaleToken(resource, token, seen);
  if (etag === null) throw new UnfenceableResource(resource, 'it has no ETag');
  if (etag.startsWith('W/')) throw new UnfenceableResource(resource, `its ETag is weak (${etag.slice(0, 100)})`);
  return { text, etag };
}

type Init = Pick<Parameters<Fetch>[1], 'method' | 'headers' | 'body'>;

async function request(
  { fetch, url, headers }: Target,
  signal: AbortSignal,
  init: Init,
): Promise<{ status: number; etag: string | null; text: string }> {
  // In lower case, so that what is given cannot stand beside the condition.
  const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const all = { ...given, ...init.headers };
  const response = await fetch(url, { ...init, headers: all, cache: 'no-store', signal });
  // Also where nobody reads it: the connection is free only then.
  const text = await response.text();
  return { status: response.status, etag: response.headers.get('etag'), text };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isDocument(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** 0 where it has seen none, and `undefined` for what is no token. A number that is not safe has lost digits already. */
function tokenIn(value: unknown): bigint | undefined {
  if (value === undefined || value === null) return 0n;
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : undefined;
  return typeof value === 'string' && /^(?:0|[1-9]\d{0,99})$/.test(value) ? BigInt(value) : undefined;
}
