import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CoordinationError } from '../../src/backends/errors.js';
import { connect } from '../../src/connect.js';
import { anyText, called, closed, nothingEscapes, rubbish } from './support.js';

nothingEscapes();

const secret = 'hunter2';

const valid = fc.constantFrom(
  'memory:',
  'memory:name?ttlMs=500',
  'redis://127.0.0.1:6379/3?namespace=shop',
  'rediss://user:pass@redis.example.com',
  'redis-cluster://user:pass@a:7000,b:7001',
  'etcd://root:pass@10.0.0.1:2379,10.0.0.2:2379?ttlMs=5000',
  'etcds://[::1]:2379',
  'zookeeper://user:pass@a:2181,b:2181/apps/shop?tickTimeMs=500&keepParents=true',
);

const edit = fc.record({
  at: fc.nat(100),
  removed: fc.nat(4),
  added: fc.oneof(fc.constantFrom(...'@:/?#,[]%&= \0', '%zz', '%ff', '://', '=1e9'), fc.string({ maxLength: 5 })),
});

const mutated = fc.tuple(valid, fc.array(edit, { minLength: 1, maxLength: 4 })).map(([url, edits]) =>
  edits.reduce<string>((text, { at, removed, added }) => {
    const start = at % (text.length + 1);
    return text.slice(0, start) + added + text.slice(start + removed);
  }, url),
);

/** Part of a password or a user name, with the signs that have a meaning in a URL. */
const part = fc.string({ unit: fc.constantFrom(...'ab1@:/?#,[]%&= .\\"\'é\n'), maxLength: 8 });

describe('a URL', () => {
  test('of any text connects lazily or is refused with a typed error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, anyText, rubbish, fc.webUrl()), async (url) => {
        const made = called(() => connect(url as string));
        if ('value' in made) await closed(made.value);
      }),
      { numRuns: 600 },
    );
  });

  test('never shows its password, whatever is wrong with it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(
          'redis://',
          'rediss://',
          'etcd://',
          'zookeeper://',
          'memory://',
          'foo://',
          'redis:',
          'redis:/',
          '://',
          '',
        ),
        part,
        part,
        part,
        fc.constantFrom('h', 'h:1', 'h:x', 'h,g', 'h/x y', 'h?x=1', 'h?ttlMs=x', '[::1', '', 'h:99999', 'h/%zz'),
        async (scheme, user, before, after, rest) => {
          const made = called(() => connect(`${scheme}${user}:${before}${secret}${after}@${rest}`), secret);
          if ('value' in made) await closed(made.value);
        },
      ),
      { numRuns: 600 },
    );
  });

  test('shows no password to those whom the store refuses to answer', async () => {
    for (const scheme of ['redis', 'etcd', 'zookeeper']) {
      const backend = connect(`${scheme}://user:${secret}@127.0.0.1:1`, { failFastMs: 100 });
      const told = await new Promise((resolve) => backend.session$.subscribe({ error: resolve }));
      expect(told).toBeInstanceOf(CoordinationError);
      expect(`${told}${told instanceof Error ? `${told.stack}${told.cause}` : ''}`).not.toContain(secret);
      await closed(backend);
    }
  });
});
