import fc from 'fast-check';
import { of } from 'rxjs';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { InvalidName } from '../../src/backends/errors.js';
import { connect } from '../../src/connect.js';
import { campaign } from '../../src/observables/elections/campaign.js';
import { candidates } from '../../src/observables/elections/candidates.js';
import { leader } from '../../src/observables/elections/leader.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { createGroup } from '../../src/observables/groups/create-group.js';
import { deleteGroup } from '../../src/observables/groups/delete-group.js';
import { join } from '../../src/observables/groups/join.js';
import { memberMap } from '../../src/observables/groups/member-map.js';
import { members } from '../../src/observables/groups/members.js';
import { breakLock } from '../../src/observables/locks/break-lock.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { tryLock } from '../../src/observables/locks/try-lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { anyText, called, closed, nothingEscapes, outcomeOf, rubbish } from './support.js';

nothingEscapes();

const isName = (name: unknown): boolean => {
  if (typeof name !== 'string' || name === '') return false;
  const bytes = Buffer.from(name);
  return bytes.length <= 512 && bytes.toString() === name;
};

const primitives = [
  (backend: Backend, name: string) => lock(backend, name),
  (backend: Backend, name: string) => tryLock(backend, name),
  (backend: Backend, name: string) => withLock(backend, name, () => of(1)),
  (backend: Backend, name: string) => holders(backend, name),
  (backend: Backend, name: string) => breakLock(backend, name),
  (backend: Backend, name: string) => campaign(backend, name),
  (backend: Backend, name: string) => leadership(backend, name),
  (backend: Backend, name: string) => leader(backend, name),
  (backend: Backend, name: string) => candidates(backend, name),
  (backend: Backend, name: string) => createGroup(backend, name),
  (backend: Backend, name: string) => deleteGroup(backend, name),
  (backend: Backend, name: string) => members(backend, name),
  (backend: Backend, name: string) => memberMap(backend, name),
  (backend: Backend, name: string) => join(backend, name, { create: true }),
  (backend: Backend, name: string) => join(backend, 'crew', { create: true, id: name }),
];

const memoryRuns = 300;
const storeRuns = 60;
const ttlMs = 3_000;

describe('a name of any characters and length', () => {
  test('is used or refused with InvalidName, by every primitive', async () => {
    const backend = connect('memory:');
    await fc.assert(
      fc.asyncProperty(fc.oneof(anyText, rubbish), async (name) => {
        for (const primitive of primitives) {
          const outcome = await outcomeOf(() => primitive(backend, name as string) as ReturnType<typeof members>);
          const refused = 'error' in outcome && outcome.error instanceof InvalidName;
          // An id that is left out is made up.
          if (!(name === undefined && primitive === primitives.at(-1))) expect(refused).toBe(!isName(name));
        }
      }),
      { numRuns: memoryRuns },
    );
    await closed(backend);
  });

  describe.each([
    ['redis', inject('redisUrl')],
    ['etcd', inject('etcdUrl')],
    ['zookeeper', inject('zookeeperUrl')],
  ])('on %s', (_, url) => {
    let backend: Backend;
    beforeAll(() => {
      backend = connect(url, { namespace: `hostile-names-${process.pid}`, ttlMs });
    });
    afterAll(() => closed(backend));

    test('neither fails nor leaves a stream waiting', async () => {
      await fc.assert(
        fc.asyncProperty(anyText, async (name) => {
          const outcomes = await Promise.all([
            outcomeOf(() => lock(backend, name)),
            outcomeOf(() => leader(backend, name)),
            outcomeOf(() => join(backend, name, { create: true, id: name })),
            outcomeOf(() => members(backend, name)),
          ]);
          const refused = outcomes.map((outcome) => 'error' in outcome && outcome.error instanceof InvalidName);
          expect(new Set(refused)).toEqual(new Set([!isName(name)]));
        }),
        { numRuns: storeRuns },
      );
    }, 30_000);

    test('is a namespace, or none that can be connected to', async () => {
      await fc.assert(
        fc.asyncProperty(anyText, async (namespace) => {
          const made = called(() => connect(url, { namespace, ttlMs }));
          if ('error' in made) return;
          const outcome = await outcomeOf(() => lock(made.value, 'lock'));
          expect('value' in outcome || outcome.error._tag.startsWith('Invalid')).toBe(true);
          await closed(made.value);
        }),
        { numRuns: 8 },
      );
    }, 30_000);
  });
});
