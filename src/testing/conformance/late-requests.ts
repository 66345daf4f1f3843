import { lock, OutcomeUnknown } from 'conclave';
import { Subject } from 'rxjs';
import { expect } from 'vitest';
import { marker, sent, stateOf, type Write, warm, writes } from './repeats.js';
import { bytes, type Stage, type Suite, textOf } from './stage.js';

/** What was sent over a connection that has broken since, and arrives after its repeat. */
export function lateRequestCases({ hazard }: Suite): void {
  for (const write of writes) {
    for (const [how, undo] of Object.entries(write.undone)) {
      hazard(`${write.what} whose first copy arrives after its repeat, ${how} since, undoes nothing`, async (stage) => {
        const { outcome, happened: late } = await sent(stage, write, (link) => link.strandAfter(marker));
        expect(await outcome.first('the outcome of the repeat')).toBe(true);
        await undo(stage.watcher);
        const theirs = await stateOf(stage.watcher);
        await late.arrive();
        expect(await stateOf(stage.watcher)).toEqual(theirs);
      });
    }
  }

  hazard('an entry whose first request arrives after its repeat stands in line once', async (stage) => {
    const { late, held } = await standLate(stage);
    const grant = await held.first('the lock');
    await late.arrive();
    expect((await stage.entries('ledger')).map(({ id }) => id)).toEqual([grant.id]);
    expect([grant.isValid(), held.values.length]).toEqual([true, 1]);
  });

  hazard('an entry that has left does not come back with a request that arrives late', async (stage) => {
    const { late, held } = await standLate(stage);
    await held.first('the lock');
    held.unsubscribe();
    await stage.inLine('ledger', 0);
    await late.arrive();
    expect(await stage.entries('ledger')).toEqual([]);
    await stage.hold(stage.backend(), 'ledger', { waitMs: stage.promptMs });
  });

  hazard('an entry that was given up while its request was on its way never stands in line', async (stage) => {
    const { late, held, backend } = await standLate(stage);
    held.unsubscribe();
    await stage.hold(backend, 'after it');
    // Its own requests follow each other: what comes after the goodbye to the entry comes after that goodbye.
    await stage.inLine('ledger', 0);
    await late.arrive();
    expect(await stage.entries('ledger')).toEqual([]);
    await stage.hold(stage.backend(), 'ledger', { waitMs: stage.promptMs });
  });

  hazard('a payload that arrives late does not replace a later one', async (stage) => {
    const link = await stage.link();
    const payload$ = new Subject<Uint8Array>();
    const place = stage.enter(stage.over(link), 'pool', { payload: bytes('first'), payload$ });
    await place.first('the place');
    const line = stage.line('pool');
    const shows = (payload: string) =>
      line.now(([entry]) => entry !== undefined && textOf(entry.payload) === payload, `the payload ${payload}`);
    await shows('first');
    const stranded = link.strandAfter(marker);
    payload$.next(bytes(marker));
    const late = await stranded;
    await shows(marker);
    payload$.next(bytes('last'));
    await shows('last');
    await late.arrive();
    expect((await stage.entries('pool')).map(({ payload }) => textOf(payload))).toEqual(['last']);
  });
}

/** What was sent in a session that has ended meanwhile. */
export function posthumousCases({ hazard }: Suite): void {
  for (const write of writes.filter(({ what }) => /whatever|registration/.test(what))) {
    hazard(`${write.what} that arrives after the end of its session changes nothing`, async (stage) => {
      const { outcome, backend, link, happened: late } = await strandedForGood(stage, write);
      const before = await stateOf(stage.watcher);
      await late.arrive();
      expect(await stateOf(stage.watcher)).toEqual(before);
      await link.heal();
      expect(await outcome.failure('nobody knows what became of it')).toBeInstanceOf(OutcomeUnknown);
      expect(await stateOf(backend)).toEqual(before);
    });
  }

  hazard('an entry whose request arrives after the end of its session stands nowhere', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    await stage.hold(backend, 'ledger');
    const stranded = link.strandAfter(marker);
    stage.probe(lock(backend, 'ledger', { data: marker }));
    const late = await stranded;
    link.cut();
    await stage.inLine('ledger', 0);
    await late.arrive();
    expect(await stage.entries('ledger')).toEqual([]);
    await stage.hold(stage.backend(), 'ledger', { waitMs: stage.promptMs });
  });
}

async function strandedForGood(stage: Stage, write: Write) {
  const all = await sent(stage, write, async (link) => {
    const late = await link.strandAfter(marker);
    link.cut();
    return late;
  });
  await expiry(stage);
  return all;
}

/** Where the names are divided among several sessions, they do not end in the same moment. */
async function expiry(stage: Stage): Promise<void> {
  await stage.inLine('warm', 0);
  await new Promise((passed) => setTimeout(passed, stage.options.ttlMs / 2));
}

/** Stands in line by a request that is still on its way; its connection has broken, and another can be made. */
async function standLate(stage: Stage) {
  const link = await stage.link();
  const backend = stage.over(link);
  await warm(stage, backend);
  const stranded = link.strandAfter(marker);
  const held = stage.probe(lock(backend, 'ledger', { data: marker }));
  return { link, backend, held, late: await stranded };
}
