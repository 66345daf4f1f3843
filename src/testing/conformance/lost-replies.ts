import { CoordinationError, createGroup, deleteGroup, groups, lock, tryLock } from 'conclave';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import { expect } from 'vitest';
import { bytes, consistsOf, type Stage, type Suite, textOf } from './stage.js';

export function lostReplyCases({ hazard }: Suite): void {
  hazard('a lost reply to standing in line makes neither an orphan nor a second entry', async (stage) => {
    const { link, line, held, entry } = await standUnanswered(stage);
    expect(held.values).toEqual([]);
    await link.reset();
    const grant = await held.first('the lock');
    expect([grant.id, grant.token]).toEqual([entry?.id, entry?.token]);
    const rival = stage.probe(lock(stage.backend(), 'ledger'));
    await line.now(({ length }) => length === 2, 'the rival in line');
    held.unsubscribe();
    await rival.first('the lock for the rival', stage.promptMs);
    expect(line.values.every(({ length }) => length <= 2)).toBe(true);
  });

  hazard('who unsubscribes while the reply is lost leaves nothing in line', async (stage) => {
    const { link, backend, line, held } = await standUnanswered(stage);
    held.unsubscribe();
    await link.reset();
    await line.now(({ length }) => length === 0, 'the end of the entry');
    await stage.hold(stage.backend(), 'ledger', { waitMs: stage.promptMs });
    expect((await stage.hold(backend, 'after it')).grant.isValid()).toBe(true);
  });

  hazard('a tryLock whose reply is lost tells what became of it, and leaves nothing if it failed', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    await stage.hold(backend, 'warm');
    await stage.hold(stage.backend(), 'ledger');
    const line = stage.line('ledger');
    await line.now(({ length }) => length === 1, 'the holder');
    const muted = link.muteAfter('the-marker');
    const trying = stage.probe(tryLock(backend, 'ledger', { data: 'the-marker' }));
    await muted;
    await line.now(({ length }) => length === 2, 'the entry, made by the request');
    await link.reset();
    expect(await trying.first('the outcome')).toMatchObject({ _tag: 'Left' });
    await stage.inLine('ledger', 1);
  });

  hazard('a release whose reply is lost still releases, and the lock can be had again', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    const { held } = await stage.hold(backend, 'ledger');
    const rival = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    link.mute();
    held.unsubscribe();
    await link.reset();
    await rival.first('the lock for the rival');
    const again = stage.probe(lock(backend, 'ledger'));
    await stage.inLine('ledger', 2);
    rival.unsubscribe();
    await again.first('the lock again');
  });

  hazard('a release that is not answered is told before the session ends', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    const { held } = await stage.hold(backend, 'ledger');
    const faults = stage.probe(backend.faults$);
    const sessions = stage.probe(backend.session$);
    link.mute();
    held.unsubscribe();
    await faults.now(({ _tag }) => _tag === 'ReleaseFailed', 'the release that is not confirmed');
    expect(sessions.values.map(({ state }) => state)).not.toContain('lost');
    await link.heal();
  });

  hazard('a group whose creation was not answered was created once, by its creator', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    await stage.hold(backend, 'warm');
    const all = stage.probe(groups(stage.watcher));
    const muted = link.muteAfter('the-marker');
    const creating = stage.probe(createGroup(backend, 'the-marker'));
    await muted;
    await all.now(consistsOf('the-marker'), 'the group, made by the request');
    await link.reset();
    await creating.completion('the creation');
  });

  hazard('a group whose deletion was not answered was deleted by its deleter', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    await lastValueFrom(createGroup(backend, 'the-marker'));
    const all = stage.probe(groups(stage.watcher));
    await all.now(consistsOf('the-marker'), 'the group');
    const muted = link.muteAfter('the-marker');
    const deleting = stage.probe(deleteGroup(backend, 'the-marker'));
    await muted;
    await link.reset();
    await deleting.completion('the deletion');
    await all.now(consistsOf(), 'the end of the group');
  });

  hazard('a write whose reply is lost is known for its own, and happens once', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    await stage.hold(backend, 'warm');
    const { current: before } = await lastValueFrom(backend.swap('config', 'absent', bytes('before')));
    const values = stage.probe(stage.watcher.cell('config'));
    await values.first('the first value');
    const muted = link.muteAfter('the-marker');
    const writing = stage.probe(backend.swap('config', before?.version ?? 0n, bytes('the-marker')));
    await muted;
    const after = await values.now((value) => value?.version !== before?.version, 'the value, made by the request');
    await link.reset();
    const result = await writing.first('the outcome');
    expect([result.swapped, result.current?.version]).toEqual([true, after?.version]);
    const now = await firstValueFrom(stage.watcher.cell('config'));
    expect([textOf(now?.value ?? bytes('?')), now?.version]).toEqual(['the-marker', after?.version]);
    expect(values.values).toHaveLength(2);
  });

  hazard('faults are told on faults$, but nobody needs to listen for things to heal', async (stage) => {
    const link = await stage.link();
    const [deaf, heard] = [stage.over(link), stage.over(link)];
    const faults = stage.probe(heard.faults$);
    const line = stage.line('ledger');
    for (const backend of [deaf, heard]) {
      const { held } = await stage.hold(backend, 'ledger');
      link.cut();
      held.unsubscribe();
      const states = stage.probe(backend.session$);
      await states.now(({ state }) => state === 'suspended', 'the suspended session');
      await link.reset();
      await line.now(({ length }) => length === 0, 'the release, late');
      await stage.hold(backend, 'after it', { waitMs: stage.soonMs }).then((after) => after.held.unsubscribe());
    }
    expect(faults.hasEnded).toBe(false);
    for (const fault of faults.values) expect(fault).toBeInstanceOf(CoordinationError);
  });
}

/** Stands in line by a request that the store carries out, but whose reply is lost; nothing is heard from then on. */
async function standUnanswered(stage: Stage) {
  const link = await stage.link();
  const backend = stage.over(link);
  await stage.hold(backend, 'warm');
  const line = stage.line('ledger');
  const muted = link.muteAfter('the-marker');
  const held = stage.probe(lock(backend, 'ledger', { data: 'the-marker' }));
  await muted;
  const [entry] = await line.now(({ length }) => length === 1, 'the entry, made by the request');
  return { link, backend, line, held, entry };
}
