import fc from 'fast-check';
import { type Either, isLeft } from 'fp-ts/lib/Either.js';
import { describe, expect, it } from 'vitest';
import { parseUrl, queryOptions, type StoreUrl } from '../../src/backends/shared/url.js';

const parsed = (text: string): StoreUrl => {
  const url = parseUrl(text);
  if (isLeft(url)) throw url.left;
  return url.right;
};
const reason = (text: string): string => {
  const url = parseUrl(text);
  return isLeft(url) ? url.left.reason : 'it is a URL';
};
const told = <E, A>(either: Either<E, A>): E | A => (isLeft(either) ? either.left : either.right);

describe('parseUrl', () => {
  it('takes a URL apart', () => {
    expect(parsed('redis://user:pass@host:6379/3?ttlMs=5000&namespace=shop')).toEqual({
      scheme: 'redis',
      username: 'user',
      password: 'pass',
      hosts: [{ host: 'host', port: 6379 }],
      path: '3',
      query: new Map([
        ['ttlMs', '5000'],
        ['namespace', 'shop'],
      ]),
    });
  });

  it('leaves out what is not there', () => {
    const nothing = { username: undefined, password: undefined, hosts: [], path: '', query: new Map() };
    expect(parsed('memory:')).toEqual({ scheme: 'memory', ...nothing });
    expect(parsed('memory:name')).toEqual({ scheme: 'memory', ...nothing, path: 'name' });
    expect(parsed('memory:/name')).toEqual({ scheme: 'memory', ...nothing, path: 'name' });
    expect(parsed('memory:a/b')).toEqual({ scheme: 'memory', ...nothing, path: 'a/b' });
    expect(parsed('memory://')).toEqual({ scheme: 'memory', ...nothing });
    expect(parsed('etcd://host')).toEqual({ scheme: 'etcd', ...nothing, hosts: [{ host: 'host', port: undefined }] });
  });

  it('knows several hosts, with and without ports', () => {
    expect(parsed('etcd://a:1,b,c:65535').hosts).toEqual([
      { host: 'a', port: 1 },
      { host: 'b', port: undefined },
      { host: 'c', port: 65_535 },
    ]);
  });

  it('knows IPv6 addresses, without their brackets', () => {
    expect(parsed('etcd://[::1]:2379,[fe80::1]').hosts).toEqual([
      { host: '::1', port: 2379 },
      { host: 'fe80::1', port: undefined },
    ]);
    expect(parsed('etcd://[::ffff:127.0.0.1]:1').hosts).toEqual([{ host: '::ffff:127.0.0.1', port: 1 }]);
  });

  it('reads the scheme in any case', () => {
    expect(parsed('REDIS://h').scheme).toBe('redis');
    expect(parsed('a+b-c.1:').scheme).toBe('a+b-c.1');
  });

  it('decodes user, password and path, and keeps further colons and at-signs for the password', () => {
    expect(parsed('redis://us%3Aer:p%40ss%2F@h')).toMatchObject({ username: 'us:er', password: 'p@ss/' });
    expect(parsed('redis://u:a:b@h')).toMatchObject({ username: 'u', password: 'a:b' });
    expect(parsed('redis://u:a@b@h')).toMatchObject({ username: 'u', password: 'a@b', hosts: [{ host: 'h' }] });
    expect(parsed('redis://:p@h')).toMatchObject({ username: undefined, password: 'p' });
    expect(parsed('redis://u@h')).toMatchObject({ username: 'u', password: undefined });
    expect(parsed('redis://u:@h')).toMatchObject({ username: 'u', password: '' });
    expect(parsed('redis://u:p@')).toMatchObject({ username: 'u', password: 'p', hosts: [] });
    expect(parsed('zookeeper://h/a%20b/c').path).toBe('a b/c');
  });

  it('decodes the query as forms do', () => {
    expect(parsed('redis://h?namespace=a+b%26c').query.get('namespace')).toBe('a b&c');
    expect(parsed('redis://h?').query.size).toBe(0);
  });

  it.each([
    ['', 'it is not of the form scheme://user:password@host:port/path?option=value'],
    ['no scheme', 'it is not of the form scheme://user:password@host:port/path?option=value'],
    ['1redis://h', 'it is not of the form scheme://user:password@host:port/path?option=value'],
    ['redis://h#fragment', 'it is not of the form scheme://user:password@host:port/path?option=value'],
    ['redis://h?a=1&a=2', 'the option a stands twice'],
    ['redis://%zz@h', 'a percent sign in it is not followed by two hexadecimal digits of UTF-8'],
    ['redis://u:%FF@h', 'a percent sign in it is not followed by two hexadecimal digits of UTF-8'],
    ['redis://h/%', 'a percent sign in it is not followed by two hexadecimal digits of UTF-8'],
    ['redis://h:0', '"h:0" is not a host with an optional port from 1 to 65535'],
    ['redis://h:65536', '"h:65536" is not a host with an optional port from 1 to 65535'],
    ['redis://h:x', '"h:x" is not a host with an optional port from 1 to 65535'],
    ['redis://h:', '"h:" is not a host with an optional port from 1 to 65535'],
    ['redis://a,,b', '"" is not a host with an optional port from 1 to 65535'],
    ['redis://a,', '"" is not a host with an optional port from 1 to 65535'],
    ['redis://::1', '"::1" is not a host with an optional port from 1 to 65535'],
    ['redis://[::1', '"[::1" is not a host with an optional port from 1 to 65535'],
    ['redis://[x]', '"[x]" is not a host with an optional port from 1 to 65535'],
    ['redis://a b', '"a b" is not a host with an optional port from 1 to 65535'],
  ])('refuses %j, saying why', (text, why) => {
    expect(reason(text)).toBe(why);
  });

  it.each([
    [undefined, 'undefined'],
    [7, '7'],
    [['redis://h'], 'a list'],
  ])('refuses %j, which is not text', (value, url) => {
    expect(told(parseUrl(value))).toMatchObject({ _tag: 'InvalidUrl', url, reason: 'it is not a string' });
  });

  it('never throws, whatever it is given', () => {
    const parts = fc.constantFrom(
      'redis',
      '://',
      ':',
      '@',
      ',',
      '/',
      '?',
      '#',
      '%',
      '%41',
      '[',
      ']',
      '=',
      '&',
      'x',
      '1',
      '\n',
    );
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(parts, { maxLength: 20 }).map((all) => all.join('')),
      fc.webUrl(),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const url = parseUrl(text);
        if (isLeft(url)) expect(url.left).toMatchObject({ _tag: 'InvalidUrl' });
      }),
    );
  });

  it('never repeats the password in a message, wherever the mistake is', () => {
    const secrets = fc
      .string({
        unit: fc.constantFrom('s', 'e', 'c', 'r', '7', '%', '@', ':', ',', '/', '?', '#', '[', ' '),
        minLength: 1,
        maxLength: 8,
      })
      .map((inner) => `Tr0ub4dor${inner}Tr0ub4dor`);
    const mistakes = fc.constantFrom(':0', ':99999', ',,', '?a=1&a=2', '/%', '#x', '?ttlMs=x');
    fc.assert(
      fc.property(secrets, mistakes, fc.constantFrom('user', ''), (secret, mistake, user) => {
        const url = parseUrl(`redis://${user}:${secret}@host${mistake}`);
        if (!isLeft(url)) return;
        expect(`${url.left.message} ${url.left.url} ${url.left.reason}`).not.toContain('Tr0ub4dor');
      }),
    );
  });

  it('shows where the password stood', () => {
    const url = told(parseUrl('redis://user:secret@host:0'));
    expect(url).toMatchObject({ url: 'redis://***@host:0' });
  });
});

describe('queryOptions', () => {
  const read = (query: string, own?: Parameters<typeof queryOptions>[1]) =>
    told(queryOptions(parsed(`x:?${query}`), own));

  it('reads numbers, text and flags', () => {
    expect(
      read('ttlMs=5000&drift=0.02&giveUpAt=suspended&namespace=a&tls=true&fast=false', { tls: 'flag', fast: 'flag' }),
    ).toEqual({
      ttlMs: 5_000,
      drift: 0.02,
      giveUpAt: 'suspended',
      namespace: 'a',
      tls: true,
      fast: false,
    });
  });

  it.each([
    'ttlMs',
    'renewEveryMs',
    'guardMs',
    'drift',
    'requestTimeoutMs',
    'initialBackoffMs',
    'maxBackoffMs',
    'failFastMs',
    'closeTimeoutMs',
  ])('knows %s, a number', (name) => {
    expect(read(`${name}=7`)).toEqual({ [name]: 7 });
    expect(read(`${name}=seven`)).toMatchObject({ violations: [`${name} must be a number, but is "seven"`] });
  });

  it.each(['', '-1', '1e3', '0x10', '1.', '.5', ' 1', 'Infinity', 'NaN'])('takes %j for no number', (text) => {
    expect(read(`ttlMs=${encodeURIComponent(text)}`)).toMatchObject({
      violations: [`ttlMs must be a number, but is ${JSON.stringify(text)}`],
    });
  });

  it('reads the base of tokens, a whole number of any size', () => {
    expect(read('tokenBase=4611686018427387904')).toEqual({ tokenBase: 2n ** 62n });
    for (const text of ['', '-1', '1x', 'x1', '1.5', 'x'])
      expect(read(`tokenBase=${text}`)).toMatchObject({
        violations: [`tokenBase must be a whole number, but is "${text}"`],
      });
  });

  it('takes nothing but true and false for a flag', () => {
    expect(read('tls=yes', { tls: 'flag' })).toMatchObject({
      violations: ['tls must be a true or false, but is "yes"'],
    });
  });

  it('names every option that is unknown or cannot be read, and those that are known', () => {
    expect(read('nonsense=1&ttlMs=x', { own: 'text' })).toMatchObject({
      _tag: 'InvalidOptions',
      violations: [
        expect.stringMatching(/^nonsense is not an option of x: \(known are ttlMs, .*namespace, own\)$/),
        'ttlMs must be a number, but is "x"',
      ],
    });
  });

  it.each(['toString', '__proto__', 'constructor', 'hasOwnProperty'])('does not know %s', (name) => {
    expect(read(`${name}=1`)).toMatchObject({ violations: [expect.stringContaining(`${name} is not an option`)] });
  });

  it('gives nothing for nothing', () => {
    expect(read('')).toEqual({});
  });
});
