import { lock, type Place } from 'conclave';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import { expect } from 'vitest';
import { marker } from './repeats.js';
import { bytes, type Suite } from './stage.js';

const isAdmitted = ({ admitted }: Place): boolean => admitted;

/** What the port says in so many words, and no recipe of today depends on. */
export function portCases({ hazard }: Suite): void {
  hazard('one look tells who is there when it is asked, and completes', async (stage) => {
    const backend = stage.backend();
    const roster = { kind: 'lock', name: 'pool' } as const;
    expect(await lastValueFrom(backend.look(roster))).toEqual([]);
    for (let standing = 1; standing <= 3; standing++) {
      const place = stage.enter(stage.backend(), 'pool', { mode: 'shared', payload: bytes(`p${standing}`) });
      await place.now(isAdmitted, 'the place');
      const looked = stage.probe(backend.look(roster));
      await looked.completion('the look');
      expect(looked.values).toHaveLength(1);
      expect(looked.values[0]).toEqual(await firstValueFrom(stage.watcher.entries(roster)));
      expect(looked.values[0]).toHaveLength(standing);
    }
  });

  hazard('nobody is told of what has changed since only because of a look', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link, { renewEveryMs: stage.options.ttlMs / 2 });
    const roster = { kind: 'lock', name: 'pool' } as const;
    for (let looks = 0; looks < 5; looks++) await lastValueFrom(backend.look(roster));
    const before = link.received();
    const acting = stage.backend();
    const changes = 100;
    for (let change = 0; change < changes; change++) {
      const place = stage.enter(acting, 'pool');
      await place.first('the place');
      place.unsubscribe();
    }
    await stage.inLine('pool', 0);
    expect(link.received() - before, 'bytes that came').toBeLessThan(10 * changes);
  });

  hazard('who may stand beside any number has nobody ahead', async (stage) => {
    const permits = Number.POSITIVE_INFINITY;
    for (let standing = 0; standing < 3; standing++) {
      const place = stage.enter(stage.backend(), 'pool', { permits });
      expect(await place.first('the place')).toMatchObject({ admitted: true, ahead: 0 });
    }
  });

  hazard('who becomes first while the answer to its request is on its way is told so', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    await stage.hold(backend, 'warm');
    const { held } = await stage.hold(stage.backend(), 'ledger');
    link.delayReplies(300);
    const waiting = stage.probe(lock(backend, 'ledger'));
    await stage.inLine('ledger', 2);
    held.unsubscribe();
    await stage.inLine('ledger', 1);
    await waiting.first('the lock', stage.promptMs);
  });

  hazard('of a hundred who give up before they were asked for, nobody is left in line', async (stage) => {
    const backend = stage.backend();
    await stage.hold(backend, 'warm');
    for (let i = 0; i < 100; i++) stage.probe(lock(backend, 'ledger')).unsubscribe();
    await stage.hold(backend, 'ledger', { waitMs: stage.soonMs });
    await stage.inLine('ledger', 1);
  });

  hazard('who gives up while the answer is on its way leaves nothing, however late it comes', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    await stage.hold(backend, 'warm');
    const line = stage.line('ledger');
    link.delayReplies(300);
    const giving = stage.probe(lock(backend, 'ledger', { data: marker }));
    await line.now(({ length }) => length === 1, 'the entry');
    giving.unsubscribe();
    await line.now(({ length }) => length === 0, 'the end of the entry');
  });
}
