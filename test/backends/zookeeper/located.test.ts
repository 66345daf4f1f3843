import { firstValueFrom, of } from 'rxjs';
import { expect, test } from 'vitest';
import { jsonCodec } from '../../../src/backends/shared/codec.js';
import type { Connection } from '../../../src/backends/zookeeper/connection.js';
import { curatorNames } from '../../../src/backends/zookeeper/curator-names.js';
import { Layout } from '../../../src/backends/zookeeper/layout.js';
import { allAhead, type Located, listSemaphore, locate } from '../../../src/backends/zookeeper/located.js';

const located = (where: Located['where'], name: string, permits = 2): Located => ({
  name,
  path: `/p/${where}/${name}`,
  where,
  mode: 'exclusive',
  permits,
  sequence: -1,
});

/** Stands in for a server where nothing is any more that was listed before. */
const deserted = { exists: () => of(undefined) } as unknown as Connection;

test('who waited for a permit and is not there any more may hold one by now, and is waited for', async () => {
  const waited = located('locks', 'waited');
  const everybody = [waited, located('line', 'left'), located('leases', 'gave back')];
  const mine = { ...located('line', 'mine', 1), token: 9n };
  expect(await firstValueFrom(allAhead(deserted, '/p', everybody, mine))).toEqual([waited]);
  const beside = { ...located('locks', 'mine'), token: 9n };
  expect(await firstValueFrom(allAhead(deserted, '/p/locks', everybody, beside))).toEqual([waited]);
});

test('who gets a permit between one list and the next is seen, once', async () => {
  const layout = new Layout('/conclave', curatorNames(jsonCodec));
  const roster = { kind: 'lock', name: 'listed' } as const;
  const entry = '_c_00000000-0000-0000-0000-000000000000.2-lock-0000000007';
  const states = [
    { locks: [entry], leases: [] },
    { locks: [], leases: [`${entry}-lease-5`] },
  ];
  for (const last of [0, 1]) {
    let asked = 0;
    // Stands in for a server that carries out the swap between two answers.
    const children = (path: string) => {
      const state = states[Math.min(last, asked++)];
      return of(path.endsWith('/locks') ? state?.locks : state?.leases);
    };
    const listing = await firstValueFrom(
      listSemaphore({ children } as unknown as Connection, layout, roster, ['locks', 'leases']),
    );
    expect(locate(layout, roster, listing)).toMatchObject([{ name: entry, where: last === 0 ? 'locks' : 'leases' }]);
  }
});
