import { Etcd3 } from 'etcd3';
import fc from 'fast-check';
import { createClient } from 'node-zookeeper-client';
import { map, NEVER, type Observable, of, type SchedulerLike, take, takeWhile } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { InvalidOptions } from '../../src/backends/errors.js';
import { etcd } from '../../src/backends/etcd/index.js';
import { memory } from '../../src/backends/memory/index.js';
import { redis } from '../../src/backends/redis/index.js';
import { zookeeper } from '../../src/backends/zookeeper/index.js';
import { connect } from '../../src/connect.js';
import { campaign } from '../../src/observables/elections/campaign.js';
import { handOver } from '../../src/observables/elections/hand-over.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { leadershipState } from '../../src/observables/elections/leadership-state.js';
import { withLeadership } from '../../src/observables/elections/with-leadership.js';
import { join } from '../../src/observables/groups/join.js';
import { lock } from '../../src/observables/locks/lock.js';
import { tryLock } from '../../src/observables/locks/try-lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { retryWithBackoff } from '../../src/operators/retry-with-backoff.js';
import { settled } from '../../src/operators/settled.js';
import { whileLeader } from '../../src/operators/while-leader.js';
import { whileLocked } from '../../src/operators/while-locked.js';
import { whileTrue } from '../../src/operators/while-true.js';
import { explore } from '../../src/testing/explore.js';
import { restartStore } from '../../src/testing/faults.js';
import { marbles } from '../../src/testing/marbles.js';
import { simulate } from '../../src/testing/simulate.js';
import { called, closed, nothingEscapes, outcomeOf, rubbish } from './support.js';

nothingEscapes();

const common = [
  ...['ttlMs', 'renewEveryMs', 'guardMs', 'drift', 'requestTimeoutMs', 'initialBackoffMs', 'maxBackoffMs'],
  ...['failFastMs', 'closeTimeoutMs', 'giveUpAt', 'tokenBase', 'namespace', 'codec', 'scheduler'],
];

/** Nothing answers there, and at once. */
const nowhere = '127.0.0.1:1';

/** How to make each backend of options, by the names of the options it knows. */
const backends = {
  'memory:': { own: ['store'], make: (options: object) => memory(options), base: {} },
  [`redis://${nowhere}`]: {
    own: ['host', 'port', 'db', 'username', 'password', 'tls', 'waitReplicas', 'trustEmpty'].concat(
      'cluster',
      'sentinels',
      'client',
    ),
    make: (options: object) => redis(options),
    base: { host: '127.0.0.1', port: 1 },
  },
  [`etcd://${nowhere}`]: {
    own: ['hosts', 'username', 'password', 'tls', 'client'],
    make: (options: object) => etcd(options),
    base: { hosts: nowhere },
  },
  [`zookeeper://${nowhere}`]: {
    own: ['hosts', 'chroot', 'tickTimeMs', 'auth', 'acl', 'balanced', 'layout', 'folders', 'keepParents', 'client'],
    make: (options: object) => zookeeper(options),
    base: { hosts: [{ host: '127.0.0.1', port: 1 }] },
  },
};

/** Names of hosts are looked up, which takes time and tells nothing. */
const isLookedUp = (field: string, value: unknown): boolean =>
  ['host', 'hosts'].includes(field) && JSON.stringify(value, (_, each) => String(each)).length > 4;

/** What comes of a session within a moment: whether it opens, fails, or goes on trying. */
const opening = (session$: Observable<unknown>): Observable<unknown> =>
  session$.pipe(
    takeWhile((session) => JSON.stringify(session).includes('"attempt":0')),
    map(() => undefined),
  );

describe.each(Object.entries(backends))('an option of %s with a random value', (url, { own, make, base }) => {
  test('is refused with a typed error, or the backend works and closes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...common, ...own), rubbish, async (field, value) => {
        const options = { closeTimeoutMs: 100, initialBackoffMs: 10, ...base, [field]: value };
        for (const connecting of [() => make(options), () => connect(url, { [field]: value })]) {
          const made = called(connecting);
          if ('error' in made) continue;
          if (!isLookedUp(field, value)) {
            const { session$ } = made.value;
            await outcomeOf(() => opening(session$), 300).catch((error: Error) => {
              if (!error.message.startsWith('nothing came')) throw error;
            });
          }
          await closed(made.value);
        }
      }),
      { numRuns: 250 },
    );
  }, 60_000);

  test('is refused together with others, all of which are named', async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.constantFrom(...common, ...own), rubbish), async (options) => {
        for (const connecting of [() => make(options), () => connect(url, options)]) {
          const made = called(connecting);
          if ('value' in made) await closed(made.value);
          else if (made.error instanceof InvalidOptions) expect(made.error.violations.length).toBeGreaterThan(0);
        }
      }),
      { numRuns: 250 },
    );
  });

  test('as the whole of the options is refused as well', async () => {
    await fc.assert(
      fc.asyncProperty(rubbish, async (options) => {
        for (const connecting of [() => make(options as object), () => connect(url, options as object)]) {
          const made = called(connecting);
          if ('value' in made) await closed(made.value);
        }
      }),
      { numRuns: 250 },
    );
  });
});

describe('options of the primitives', () => {
  test('of random values are refused with a typed error, or used', async () => {
    const backend = connect('memory:');
    await fc.assert(
      fc.asyncProperty(
        rubbish,
        fc.constantFrom('waitMs', 'data', 'id', 'capabilities', 'create'),
        async (value, field) => {
          const options = { waitMs: 50, create: true, [field]: value } as object;
          await outcomeOf(() => lock(backend, 'ledger', options));
          await outcomeOf(() => withLock(backend, 'ledger', () => of(1), options));
          await outcomeOf(() => campaign(backend, 'chief', options));
          await outcomeOf(() => join(backend, 'crew', { ...options, create: true }).pipe(take(1)));
        },
      ),
      { numRuns: 300 },
    );
    await closed(backend);
  });

  test('of a candidate of random values are refused with a typed error, or used', async () => {
    const backend = connect('memory:');
    const fields = ['data', 'priority', 'holdDownMs', 'id', 'takeOver'];
    await fc.assert(
      fc.asyncProperty(rubbish, fc.constantFrom(...fields), async (value, field) => {
        const options = { priority: 1, id: 'me', [field]: value } as object;
        await outcomeOf(() => campaign(backend, 'chief', options));
        await outcomeOf(() => leadershipState(backend, 'chief', options));
      }),
      { numRuns: 300 },
    );
    await closed(backend);
  });

  test('as a whole are refused with a typed error, or used', async () => {
    const backend = connect('memory:');
    await fc.assert(
      fc.asyncProperty(rubbish, async (options) => {
        await outcomeOf(() => lock(backend, 'ledger', options as object));
        await outcomeOf(() => campaign(backend, 'chief', options as object));
        await outcomeOf(() => join(backend, 'crew', options as object));
      }),
      { numRuns: 200 },
    );
    await closed(backend);
  });

  test('as the whole of the options of operators are refused with a typed error, or used', async () => {
    await fc.assert(
      fc.asyncProperty(rubbish, rubbish, async (options, quietMs) => {
        const made = [
          called(() => retryWithBackoff(options as object)),
          called(() => whileTrue(of(true, false), options as object)),
          called(() => whileLeader(of(true, false), options as object)),
          called(() => whileLocked(of({ isValid: () => true }), options as object)),
          called(() => settled(quietMs as number, options as SchedulerLike)),
        ];
        for (const each of made) if ('value' in each) await outcomeOf(() => of(1).pipe(each.value));
      }),
      { numRuns: 300 },
    );
  });

  test('of random values of operators are refused with a typed error, or used', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom('tries', 'delayMs', 'maxDelayMs', 'jitter', 'deadlineMs'), rubbish),
        rubbish,
        async (options, onLoss) => {
          const made = called(() => retryWithBackoff(options));
          if ('value' in made) await outcomeOf(() => of(1).pipe(made.value));
          const gated = called(() => whileTrue(of(true, false), { onLoss } as object));
          if ('value' in gated) await outcomeOf(() => NEVER.pipe(gated.value));
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a setting that nobody would read', () => {
  const pem = Buffer.from('-----BEGIN CERTIFICATE-----');
  const key = { rootCertificate: pem, privateKey: pem };
  const host = { host: 'h', port: 1 };
  const made = createClient('h:1');

  test.each<[what: string, make: () => unknown, words: string]>([
    ['a login in one node', () => redis({ cluster: [{ ...host, password: 'p' } as never] }), 'cluster must be'],
    [
      'TLS of one sentinel',
      () => redis({ sentinels: { name: 'm', nodes: [{ ...host, tls: true } as never] } }),
      'nodes',
    ],
    ['the role at sentinels', () => redis({ sentinels: { name: 'm', nodes: [host], role: 'slave' } as never }), 'role'],
    ['members beside a client', () => etcd({ hosts: 'h:1', client: () => new Etcd3() }), 'so hosts must not be given'],
    ['the prefix of a namespace', () => etcd({ client: namespaced() as Etcd3 }), 'give the option namespace'],
    ['an authority by another name', () => etcd({ tls: { ca: pem } as never }), 'tls must be'],
    ['a word for no TLS beside it', () => etcd({ hosts: 'http://h:1', tls: { rootCertificate: pem } }), 'http://'],
    ['a key without its certificate', () => etcd({ tls: key }), 'privateKey and certChain'],
    ['servers beside a client', () => zookeeper({ hosts: [host], client: made }), 'so hosts must not be given'],
    ['TLS of one server', () => zookeeper({ hosts: [{ ...host, tls: true } as never] }), 'hosts must be'],
    [
      'rights by another name',
      () => zookeeper({ acl: [{ perms: 31, scheme: 'world', id: 'anyone' } as never] }),
      'acl must',
    ],
    ['whoever logs in to memory', () => connect('memory://me:secret@'), 'nobody logs in'],
  ])('is refused, in words that name it: %s', (_, make, words) => {
    expect(make).toThrow(words);
  });

  test('is found in what a function makes, too', async () => {
    await using backend = etcd({ client: () => namespaced() as Etcd3 });
    expect(await outcomeOf(() => lock(backend, 'ledger'))).toMatchObject({ error: { _tag: 'InvalidOptions' } });
  });

  function namespaced(): unknown {
    return new Etcd3({ hosts: '127.0.0.1:1' }).namespace('app/');
  }
});

describe('options that nobody knows', () => {
  const refused = (act: () => unknown): string => {
    try {
      act();
    } catch (error) {
      expect(error).toMatchObject({ _tag: 'InvalidOptions' });
      return (error as Error).message;
    }
    throw new Error('it was taken');
  };
  const misspelt = (options: object): never => options as never;

  test.each(['memory:', 'redis://h', 'redis-cluster://h', 'etcd://h', 'zookeeper://h'])(
    'are refused by connect to %s',
    (url) => {
      expect(refused(() => connect(url, misspelt({ ttlms: 5_000 })))).toContain('is ttlMs meant?');
      expect(refused(() => connect(url, misspelt({ lifetime: 5_000 })))).toContain(
        'lifetime is not an option (known are ttlMs,',
      );
      expect(() => connect(url, misspelt({ lifetime: undefined }))).not.toThrow();
    },
  );

  test.each<[what: string, options: object, words: string]>([
    ['no integer', { priority: 2.5 }, 'priority must be an integer'],
    ['no number', { priority: '1' }, 'priority must be an integer'],
    ['more than fits', { priority: 2 ** 40 }, 'priority must be an integer'],
    ['time that runs backwards', { priority: 1, holdDownMs: -1 }, 'holdDownMs must be a number'],
    ['a hold-down of nobody', { holdDownMs: 5 }, 'holdDownMs needs priority'],
    ['no flag', { id: 'a', takeOver: 1 }, 'takeOver must be true or false'],
    ['a take-over from nobody', { takeOver: true }, 'takeOver needs id'],
  ])('of a candidate are refused at the call, in words that name the field: %s', (_, options, words) => {
    const backend = memory();
    for (const stand of [campaign, leadership, leadershipState])
      expect(refused(() => stand(backend, 'e', misspelt(options)))).toContain(words);
    expect(refused(() => withLeadership(backend, 'e', () => [], misspelt(options)))).toContain(words);
  });

  test.each(['', 5, '\ud800', 'x'.repeat(513)])('an id that is no name is refused at the call: %j', (id) => {
    const backend = memory();
    expect(called(() => campaign(backend, 'e', { id: id as string }))).toMatchObject({
      error: { _tag: 'InvalidName' },
    });
    expect(called(() => handOver(backend, 'e', id as string))).toMatchObject({ error: { _tag: 'InvalidName' } });
    expect(called(() => handOver(backend, id as string, 'a'))).toMatchObject({ error: { _tag: 'InvalidName' } });
  });

  test('are refused by each primitive and operator, with the name that was probably meant', () => {
    const backend = memory();
    const calls: readonly [() => unknown, string][] = [
      [() => lock(backend, 'l', misspelt({ waitMS: 5 })), 'is waitMs meant?'],
      [() => lock(backend, 'l', misspelt({ wait: 5 })), 'is waitMs meant?'],
      [() => tryLock(backend, 'l', misspelt({ dat: 5 })), 'is data meant?'],
      [() => withLock(backend, 'l', () => [], misspelt({ watiMs: 5 })), 'is waitMs meant?'],
      [() => campaign(backend, 'e', misspelt({ date: 5 })), 'is data meant?'],
      [() => leadership(backend, 'e', misspelt({ priorty: 5 })), 'is priority meant?'],
      [() => leadershipState(backend, 'e', misspelt({ takeover: true })), 'is takeOver meant?'],
      [
        () => withLeadership(backend, 'e', () => [], misspelt({ waitMs: 5 })),
        'waitMs is not an option (known are data,',
      ],
      [() => join(backend, 'g', misspelt({ capabilitys: 5 })), 'capabilitys is not an option'],
      [() => join(backend, 'g', misspelt({ creates: true })), 'is create meant?'],
      [() => whileTrue(NEVER, misspelt({ onloss: 'error' })), 'is onLoss meant?'],
      [() => whileLeader(NEVER, misspelt({ onLose: 'error' })), 'is onLoss meant?'],
      [() => retryWithBackoff(misspelt({ retries: 3 })), 'retries is not an option'],
      [() => retryWithBackoff(misspelt({ delay: 3 })), 'is delayMs meant?'],
    ];
    for (const [call, words] of calls) expect(refused(call)).toContain(words);
  });

  test('are refused by the test kit, too', async () => {
    const calls: readonly [() => unknown, string][] = [
      [() => simulate(misspelt({ latency: 5 })), 'is latencyMs meant?'],
      [() => marbles(() => undefined, misspelt({ endAtMs: 5 })), 'endAtMs is not an option'],
      [() => restartStore(misspelt({ keepdata: true, forMs: 5 })), 'is keepData meant?'],
    ];
    for (const [call, words] of calls) expect(refused(call)).toContain(words);
    const exploring = explore(
      misspelt({ seeds: 1, steps: 1, fault: [] }),
      () => undefined,
      () => true,
    );
    await expect(exploring).rejects.toThrow('is faults meant?');
  });
});
