import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { lastValueFrom, type Observable, retry } from 'rxjs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Fetch, fencedHttp, type HttpWrite } from '../../src/fencing/fenced-http.js';
import { retryWithBackoff } from '../../src/operators/retry-with-backoff.js';

/** A server of documents with ETags that heeds conditions, as RFC 9110 says. */
class Documents {
  readonly #held = new Map<string, { text: string; version: number }>();
  readonly requests: string[] = [];
  /** Called with each request before it is answered, and may answer it. */
  meddle: (request: IncomingMessage, response: ServerResponse) => unknown = () => undefined;
  etagOf = (version: number): string | undefined => `"${version}"`;
  readonly server: Server = createServer((request, response) => void this.#answer(request, response));

  get(path: string): unknown {
    return JSON.parse(this.#held.get(path)?.text ?? 'null');
  }

  textOf(path: string): string | undefined {
    return this.#held.get(path)?.text;
  }

  put(path: string, text: string): void {
    this.#held.set(path, { text, version: (this.#held.get(path)?.version ?? 0) + 1 });
  }

  clear(): void {
    this.#held.clear();
    this.requests.length = 0;
    this.meddle = () => undefined;
    this.etagOf = (version) => `"${version}"`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    this.requests.push(method);
    let body = '';
    for await (const chunk of request) body += String(chunk);
    await this.meddle(request, response);
    if (response.writableEnded || response.destroyed) return;
    const held = this.#held.get(url);
    const etag = held && this.etagOf(held.version);
    if (method === 'GET') {
      if (held === undefined) response.writeHead(404).end('not found');
      else response.writeHead(200, etag === undefined ? {} : { etag }).end(held.text);
      return;
    }
    const fails =
      (headers['if-match'] !== undefined && headers['if-match'] !== etag) ||
      (headers['if-none-match'] === '*' && held !== undefined);
    if (fails) {
      response.writeHead(412).end('changed');
      return;
    }
    this.put(url, body);
    response.writeHead(204).end();
  }
}

const outcome = (written: Observable<unknown>): Promise<unknown> => lastValueFrom(written).catch((error) => error);

describe('fencedHttp', () => {
  const documents = new Documents();
  let origin: string;

  beforeAll(async () => {
    documents.server.listen(0, '127.0.0.1');
    await once(documents.server, 'listening');
    origin = `http://127.0.0.1:${(documents.server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    documents.server.close();
    documents.server.closeAllConnections();
  });
  beforeEach(() => {
    documents.clear();
    documents.put('/42', '{"status":"open"}');
  });

  const write = (token: bigint, set: HttpWrite['set'], more: Partial<HttpWrite> = {}, path = '/42') =>
    outcome(fencedHttp(`${origin}${path}`, { set, token, ...more }));

  it('writes fields and the token, and refuses a smaller one afterwards', async () => {
    documents.put('/42', '{"status":"open","lines":[1]}');
    expect(await write(2n ** 60n + 1n, { status: 'paid' })).toBeUndefined();
    expect(documents.get('/42')).toEqual({ status: 'paid', lines: [1], fencing_token: '1152921504606846977' });
    documents.requests.length = 0;
    const error = await write(2n ** 60n, { status: 'late' });
    expect(error).toMatchObject({
      _tag: 'StaleToken',
      resource: `document ${origin}/42`,
      token: 2n ** 60n,
      seen: 2n ** 60n + 1n,
    });
    expect(String(error)).toMatch(/tokenBase greater than/);
    expect(documents.requests).toEqual(['GET']);
    for (const status of ['x', 'y']) expect(await write(2n ** 60n + 1n, { status })).toBeUndefined();
    expect(documents.get('/42')).toMatchObject({ status: 'y' });
  });

  it('LostDigits: what it was not asked to write stays as it is written, to the last digit', async () => {
    const kept = '{ "id":12345678901234567890, "rate":0.12345678901234567890, "far":1e400, "none":-0, "one":1.0 }';
    documents.put('/42', `{"id":12345678901234567890, "status":"open",\n"lines":[${kept}], "a\\"}:,b":"\\\\"}`);
    expect(await write(7n, { status: 'paid', next: 1 })).toBeUndefined();
    expect(documents.textOf('/42')).toBe(
      `{"id":12345678901234567890,"status":"paid","lines":[${kept}],"a\\"}:,b":"\\\\","next":1,"fencing_token":"7"}`,
    );
    expect(await write(8n, { id: 'x' })).toBeUndefined();
    expect(documents.get('/42')).toMatchObject({ id: 'x', status: 'paid', 'a"}:,b': '\\', fencing_token: '8' });
  });

  it('says of a document that is not there that it is not, unless it is to be made', async () => {
    expect(await write(7n, { a: 1 }, {}, '/1')).toMatchObject({
      _tag: 'ResourceNotFound',
      resource: `document ${origin}/1`,
    });
    expect(documents.requests).toEqual(['GET']);
    expect(await write(7n, { a: 1 }, { create: true }, '/1')).toBeUndefined();
    expect(documents.get('/1')).toEqual({ a: 1, fencing_token: '7' });
    expect(await write(6n, { a: 2 }, { create: true }, '/1')).toMatchObject({ _tag: 'StaleToken', seen: 7n });
  });

  it('StaleHolderBesideTheNext: a holder that pauses between reading and writing is refused', async () => {
    documents.meddle = async ({ method }) => {
      if (method !== 'PUT') return;
      documents.meddle = () => undefined;
      expect(await write(8n, { status: 'of the next' })).toBeUndefined();
    };
    expect(await write(7n, { status: 'of the past' })).toMatchObject({ _tag: 'StaleToken', token: 7n, seen: 8n });
    expect(documents.get('/42')).toEqual({ status: 'of the next', fencing_token: '8' });
  });

  it('StaleHolderBesideTheNext: so is one that makes the document', async () => {
    documents.meddle = async ({ method }) => {
      if (method !== 'PUT') return;
      documents.meddle = () => undefined;
      expect(await write(8n, { status: 'of the next' }, { create: true }, '/1')).toBeUndefined();
    };
    expect(await write(7n, { status: 'of the past' }, { create: true }, '/1')).toMatchObject({ _tag: 'StaleToken' });
    expect(documents.get('/1')).toEqual({ status: 'of the next', fencing_token: '8' });
  });

  it('says that it was changed where nobody with a greater token has, and can be tried again', async () => {
    const changeOnce = ({ method }: IncomingMessage): void => {
      if (method !== 'PUT') return;
      documents.meddle = () => undefined;
      documents.put('/42', '{"status":"open","comment":"x"}');
    };
    documents.meddle = changeOnce;
    expect(await write(7n, { status: 'paid' })).toMatchObject({ _tag: 'ResourceChanged', canHeal: true });
    expect(documents.get('/42')).toEqual({ status: 'open', comment: 'x' });
    documents.meddle = changeOnce;
    const again = fencedHttp(`${origin}/42`, { set: { status: 'paid' }, token: 7n });
    await lastValueFrom(again.pipe(retryWithBackoff({ tries: 3, delayMs: 1 })));
    expect(documents.get('/42')).toEqual({ status: 'paid', comment: 'x', fencing_token: '7' });
  });

  it('of many who write at once, lets the greatest token be the last', async () => {
    const all = Array.from({ length: 20 }, (_, index) => {
      const token = BigInt(index);
      const changed = { when: (error: unknown) => (error as { _tag: string })._tag === 'ResourceChanged', delayMs: 1 };
      const one = fencedHttp(`${origin}/42`, { set: { by: `${token}` }, token });
      return outcome(one.pipe(retryWithBackoff(changed)));
    });
    for (const result of await Promise.all(all))
      if (result !== undefined) expect(result).toMatchObject({ _tag: 'StaleToken' });
    expect(documents.get('/42')).toEqual({ status: 'open', by: '19', fencing_token: '19' });
  });

  it.each([
    ['no ETag', () => undefined, '{}', 'it has no ETag'],
    ['a weak ETag', () => 'W/"1"', '{}', 'its ETag is weak (W/"1")'],
    ['a list', undefined, '[]', 'it is no JSON object'],
    ['null', undefined, 'null', 'it is no JSON object'],
    ['no JSON', undefined, '<html>', 'it is no JSON object'],
    ['a negative token', undefined, '{"fencing_token":-1}', 'its fencing_token is -1'],
    [
      'a token that has lost digits',
      undefined,
      '{"fencing_token":9007199254740993}',
      'its fencing_token is 9007199254740992',
    ],
    ['a token that is none', undefined, '{"fencing_token":"x"}', 'its fencing_token is "x"'],
    ['an object for a token', undefined, '{"fencing_token":{}}', 'its fencing_token is an object'],
  ])('does not write to %s', async (_, etagOf, text, reason) => {
    documents.put('/42', text);
    if (etagOf) documents.etagOf = etagOf;
    expect(await write(7n, { a: 1 })).toMatchObject({ _tag: 'UnfenceableResource', reason });
    expect(documents.requests).toEqual(['GET']);
  });

  it('reads a token that is a number, and goes by another name', async () => {
    documents.put('/42', '{"lease":{},"epoch":7}');
    expect(await write(6n, {}, { tokenField: 'epoch' })).toMatchObject({ _tag: 'StaleToken', seen: 7n });
    expect(await write(8n, {}, { tokenField: 'epoch' })).toBeUndefined();
    expect(documents.get('/42')).toEqual({ lease: {}, epoch: '8' });
  });

  it.each([
    ['GET', 500],
    ['GET', 304],
    ['PUT', 403],
    ['PUT', 428],
  ])('tells that %s was answered with status %i', async (method, status) => {
    documents.meddle = (request, response) => {
      if (request.method === method) response.writeHead(status).end();
    };
    expect(await write(7n, { a: 1 })).toMatchObject({ _tag: 'UnexpectedStatus', operation: method, status });
    expect(documents.get('/42')).toEqual({ status: 'open' });
  });

  it('says so where the document goes while it is written', async () => {
    documents.meddle = (request, response) => request.method === 'PUT' && response.writeHead(410).end();
    expect(await write(7n, { a: 1 })).toMatchObject({ _tag: 'ResourceNotFound' });
  });

  it('sends the headers that are given, which cannot stand in for the condition', async () => {
    const seen: unknown[] = [];
    documents.meddle = ({ headers }) =>
      seen.push([headers.authorization, headers['if-match'], headers['if-none-match']]);
    const headers = { Authorization: 'Bearer x', 'If-Match': '*' };
    expect(await write(7n, { a: 1 }, { headers })).toBeUndefined();
    expect(seen[1]).toEqual(['Bearer x', '"1"', undefined]);
  });

  it('tells what fetch fails with, as it is, and shows neither query nor login', async () => {
    const failure = new TypeError('no network');
    const fetch: Fetch = () => Promise.reject(failure);
    expect(await outcome(fencedHttp(`${origin}/42?key=secret`, { set: {}, token: 7n, fetch }))).toBe(failure);
    expect(String(await write(7n, {}, {}, '/1?key=secret'))).not.toContain('secret');
  });

  it('aborts what is under way when it is unsubscribed from, and tells nothing more', async () => {
    const aborted = new Promise<void>((resolve) => {
      const fetch: Fetch = (_, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            resolve();
            reject(signal.reason);
          });
        });
      const told: unknown[] = [];
      const writing = fencedHttp(origin, { set: {}, token: 7n, fetch }).subscribe({
        error: (error) => told.push(error),
      });
      writing.unsubscribe();
      expect(told).toEqual([]);
    });
    await aborted;
  });

  it('writes for each subscription, and not before', async () => {
    const written = fencedHttp(`${origin}/42`, { set: { a: 1 }, token: 7n });
    expect(documents.requests).toEqual([]);
    await lastValueFrom(written);
    await lastValueFrom(written.pipe(retry(1)));
    expect(documents.requests).toEqual(['GET', 'PUT', 'GET', 'PUT']);
  });

  const violations = (url: unknown, more: object): unknown => {
    try {
      fencedHttp(url as string, { set: {}, token: 1n, ...more });
      return undefined;
    } catch (error) {
      return (error as { violations?: unknown }).violations ?? error;
    }
  };

  it.each([
    ['', {}, /^url must be an http: or https: URL/],
    ['/42', {}, /^url must be/],
    ['ftp://x/', {}, /^url must be/],
    ['http://user:secret@x/', {}, /^url must be/],
    [undefined, {}, /^url must be/],
    [{ toString: (): string => 'http://x/' }, {}, /^url must be/],
    ['http://x/', { token: 1 }, /^token must be/],
    ['http://x/', { set: { fencing_token: 1 } }, /^set\["fencing_token"\] must be left out/],
    ['http://x/', { set: { a: 1n } }, /^set must be JSON, but TypeError/],
    ['http://x/', { set: { a: [Number.NaN] } }, /^set must be JSON, but TypeError: a has a number that is NaN/],
    ['http://x/', { set: { a: { toJSON: () => undefined } } }, /^set must be JSON, but TypeError: a has no value/],
    ['http://x/', { headers: { a: 1 } }, /^headers must be an object of strings/],
    ['http://x/', { fetch: 1 }, /^fetch must be a function/],
    ['http://x/', { field: 'x' }, /^field is not an option/],
  ])('refuses %o with %o at the call', (url, more, words) => {
    expect(violations(url, more)).toEqual([expect.stringMatching(words)]);
    expect(JSON.stringify(violations(url, more))).not.toContain('secret');
  });

  it('takes a URL that is an object', () => {
    expect(violations(new URL('https://x/42'), {})).toBeUndefined();
  });
});
