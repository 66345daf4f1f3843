import {
  type Backend,
  breakLock,
  campaign,
  candidates,
  createGroup,
  deleteGroup,
  groups,
  holders,
  InvalidName,
  join,
  leader,
  leadership,
  lock,
  memberMap,
  members,
  tryLock,
  withLock,
} from 'conclave';
import { isSome, some } from 'fp-ts/lib/Option.js';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import { expect } from 'vitest';
import { oddNames } from './odd-names.js';
import { bytes, consistsOf, legible, type Suite, textOf } from './stage.js';

export function nameCases({ hazard }: Suite): void {
  hazard('locks of odd names neither fail nor collide', async (stage) => {
    const backend = stage.backend();
    const held = await Promise.all(oddNames.map((name, i) => stage.hold(backend, name, { data: i })));
    await Promise.all(
      oddNames.map(async (name, i) => {
        const seen = await firstValueFrom(holders(stage.watcher, name));
        expect(
          seen.map(({ data }) => data),
          legible(name),
        ).toEqual([some(i)]);
      }),
    );
    for (const each of held) each.held.unsubscribe();
    await Promise.all(oddNames.map((name) => stage.inLine(name, 0)));
  });

  hazard('elections of odd names neither fail nor collide', async (stage) => {
    const backend = stage.backend();
    await Promise.all(
      oddNames.map((name, i) =>
        stage.probe(campaign(backend, name, { data: i })).now(isSome, `to lead ${legible(name)}`),
      ),
    );
    await Promise.all(
      oddNames.map(async (name, i) => {
        const line = await firstValueFrom(candidates(stage.watcher, name));
        expect(
          line.map(({ data }) => data),
          legible(name),
        ).toEqual([some(i)]);
      }),
    );
  });

  hazard('groups of odd names neither fail nor collide, and are listed by these names', async (stage) => {
    const backend = stage.backend();
    await Promise.all(oddNames.map((name, i) => stage.join(backend, name, { id: `m${i}`, create: true })));
    await stage.probe(groups(stage.watcher)).now(consistsOf(...oddNames), 'all groups');
    await Promise.all(
      oddNames.map(async (name, i) => {
        expect(await firstValueFrom(members(stage.watcher, name)), legible(name)).toEqual(new Set([`m${i}`]));
      }),
    );
  });

  hazard('members of odd ids neither fail nor collide', async (stage) => {
    const backend = stage.backend();
    await lastValueFrom(createGroup(backend, 'crew'));
    await Promise.all(oddNames.map((id, i) => stage.join(backend, 'crew', { id, capabilities: i })));
    const all = stage.probe(memberMap(stage.watcher, 'crew'));
    const map = await all.now(({ size }) => size === oddNames.length, 'all members');
    expect(oddNames.map((id) => map.get(id)?.capabilities)).toEqual(oddNames.map((_, i) => i));
  });

  hazard('cells of odd names neither fail nor collide', async (stage) => {
    const backend = stage.backend();
    await Promise.all(oddNames.map((key, i) => lastValueFrom(backend.swap(key, 'absent', bytes(`${i}`)))));
    await Promise.all(
      oddNames.map(async (key, i) => {
        const cell = await firstValueFrom(stage.watcher.cell(key));
        expect(cell && textOf(cell.value), legible(key)).toBe(`${i}`);
      }),
    );
  });

  hazard('a lock, an election, a group and a cell of one name never meet', async (stage) => {
    const backend = stage.backend();
    for (const name of ['one', 'lock', 'leader', '..', '{x}/y']) {
      const election = stage.probe(campaign(backend, name, { data: 'election' }));
      await election.now(isSome, 'the election');
      await stage.hold(backend, name, { data: 'lock' });
      await stage.join(backend, name, { id: 'member', create: true });
      await lastValueFrom(backend.swap(name, 'absent', bytes('cell')));
      const held = await firstValueFrom(holders(stage.watcher, name));
      const line = await firstValueFrom(candidates(stage.watcher, name));
      expect([held.map(({ data }) => data), line.map(({ data }) => data)]).toEqual([
        [some('lock')],
        [some('election')],
      ]);
      expect(await firstValueFrom(members(stage.watcher, name))).toEqual(new Set(['member']));
      expect(textOf((await firstValueFrom(stage.watcher.cell(name)))?.value ?? bytes('?'))).toBe('cell');
    }
    expect((await firstValueFrom(groups(stage.watcher))).size).toBe(5);
    expect(await firstValueFrom(stage.watcher.registered('lock'))).toEqual(new Set());
    expect(await firstValueFrom(stage.watcher.registered('election'))).toEqual(new Set());
  });

  hazard('fleets of different namespaces never meet', async (stage) => {
    const spaces = ['', '/a', 'a', 'a/b', '{a}', 'a:b'].map((suffix) => `${stage.options.namespace}${suffix}`);
    for (const namespace of spaces) {
      const backend = stage.backend({ namespace });
      await stage.hold(backend, 'b', { data: namespace, waitMs: stage.soonMs });
      await stage.join(backend, 'crew', { id: namespace, create: true });
      await lastValueFrom(backend.swap('config', 'absent', bytes(namespace)));
      expect(await firstValueFrom(groups(backend))).toEqual(new Set(['crew']));
      expect(await firstValueFrom(members(backend, 'crew'))).toEqual(new Set([namespace]));
      expect(textOf((await firstValueFrom(backend.cell('config')))?.value ?? bytes('?'))).toBe(namespace);
    }
  });

  hazard('what is not a name is refused at the call, before anything is subscribed to', async (stage) => {
    const backend = stage.backend();
    const invalid: readonly unknown[] = [
      ...['', '\ud800', 'a\udc00', 'x\ud83d', 'n'.repeat(513), 'é'.repeat(257), `${'🙂'.repeat(128)}!`],
      ...[undefined, null, 0, 7n, true, {}, [], ['a'], Symbol('name'), () => 'name', new Date(0)],
    ];
    for (const name of invalid as readonly string[]) {
      for (const call of callsWith(backend, name)) {
        let thrown: unknown;
        try {
          call();
        } catch (error) {
          thrown = error;
        }
        expect(
          thrown,
          `${String(call)} with ${typeof name === 'string' ? legible(name) : String(name)}`,
        ).toBeInstanceOf(InvalidName);
        expect(Object.is((thrown as InvalidName).invalidName, name)).toBe(true);
      }
    }
  });
}

function callsWith(backend: Backend, name: string): readonly (() => unknown)[] {
  return [
    () => lock(backend, name),
    () => tryLock(backend, name),
    () => withLock(backend, name, () => Promise.resolve()),
    () => breakLock(backend, name),
    () => holders(backend, name),
    () => leadership(backend, name),
    () => campaign(backend, name),
    () => candidates(backend, name),
    () => leader(backend, name),
    () => join(backend, name),
    ...(name === undefined ? [] : [() => join(backend, 'crew', { id: name })]),
    () => members(backend, name),
    () => memberMap(backend, name),
    () => createGroup(backend, name),
    () => deleteGroup(backend, name),
  ];
}
