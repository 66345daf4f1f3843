import { concatMap, lastValueFrom, map, type Observable, range } from 'rxjs';
import { expect, test } from 'vitest';
import { hostEnvironment } from '../../src/backends/kernel/environment.js';
import { MemoryStore } from '../../src/backends/memory/index.js';
import { timingOf } from '../../src/backends/shared/options.js';
import { orThrow } from '../../src/backends/shared/or-throw.js';
import type { StoreSession } from '../../src/backends/store.js';
import { ManualTime, QUICK } from '../support/virtual-time.js';

function sessionOn(store: MemoryStore, time: ManualTime): StoreSession {
  const opened: StoreSession[] = [];
  store
    .adapter()
    .open({
      timing: orThrow(timingOf(QUICK)),
      scheduler: time,
      now: () => time.now(),
      newId: hostEnvironment.newId,
      fault: () => undefined,
    })
    .subscribe((session) => opened.push(session));
  const [session] = opened;
  if (session === undefined) throw new Error('no session was opened');
  return session;
}

test('a write whose answer was lost is known when it is repeated, however many others its session has made since', async () => {
  const time = new ManualTime();
  const session = sessionOn(new MemoryStore(time), time);
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const mine = (): Observable<boolean> =>
    session.swap('mine', 'any', text('old'), 'the first').pipe(map(({ swapped }) => swapped));
  await lastValueFrom(mine());
  const others = range(0, 5_000).pipe(concatMap((n) => session.swap('other', 'any', text(`${n}`), `another ${n}`)));
  await lastValueFrom(others);
  const now = await lastValueFrom(session.swap('mine', 'any', text('new'), 'the last'));
  expect(await lastValueFrom(mine())).toBe(true);
  const [version] = await lastValueFrom(
    session.swap('mine', 'absent', undefined, 'a look').pipe(map(({ current }) => [current?.version])),
  );
  expect(version).toBe(now.current?.version);
});
