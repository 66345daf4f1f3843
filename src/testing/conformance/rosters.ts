import { type Mode, type Place, PlaceLost } from 'conclave';
import { concat, concatMap, defer, EMPTY, lastValueFrom, type Observable, of, Subject } from 'rxjs';
import { expect } from 'vitest';
import type { Probe } from './probe.js';
import { bytes, consistsOf, type Stage, type Suite, textOf } from './stage.js';

const isAdmitted = ({ admitted }: Place): boolean => admitted;
const waits = ({ admitted }: Place): boolean => !admitted;

export function rosterCases({ hazard }: Suite): void {
  hazard('readers hold together; a writer waits for the last of them', async (stage) => {
    const readers = [stage.backend(), stage.backend()].map((backend) =>
      stage.enter(backend, 'file', { mode: 'shared' }),
    );
    for (const reader of readers) await reader.now(isAdmitted, 'the reader is admitted');
    const writer = stage.enter(stage.backend(), 'file');
    await writer.now(waits, 'the writer waits');
    readers[0]?.unsubscribe();
    await stage.inLine('file', 2);
    expect(writer.last?.admitted).toBe(false);
    readers[1]?.unsubscribe();
    await writer.now(isAdmitted, 'the writer is admitted');
  });

  hazard('a writer in line keeps later readers out, so that it does not starve', async (stage) => {
    const reader = stage.enter(stage.backend(), 'file', { mode: 'shared' });
    await reader.now(isAdmitted, 'the reader is admitted');
    const writer = stage.enter(stage.backend(), 'file');
    await writer.now(waits, 'the writer waits');
    const backend = stage.backend();
    const late = [0, 1].map(() => stage.enter(backend, 'file', { mode: 'shared' }));
    for (const each of late) await each.now(waits, 'the late reader waits');
    reader.unsubscribe();
    await writer.now(isAdmitted, 'the writer is admitted');
    await stage.inLine('file', 3);
    expect(late.map((each) => each.last?.admitted)).toEqual([false, false]);
    writer.unsubscribe();
    for (const each of late) await each.now(isAdmitted, 'the late reader is admitted');
  });

  for (const permits of [2, 3]) {
    hazard(`${permits} permits admit ${permits}, and one more for each who leaves`, async (stage) => {
      const backends = [stage.backend(), stage.backend()];
      const places: Probe<Place>[] = [];
      for (let i = 0; i < permits + 2; i++) {
        places.push(stage.enter(backends[i % 2] as (typeof backends)[0], 'pool', { permits }));
        await stage.inLine('pool', i + 1);
      }
      for (const [i, place] of places.entries()) {
        await place.first(`the place of ${i}`);
        expect(place.last).toMatchObject({ admitted: i < permits, ahead: Math.min(i, permits) });
      }
      places[1]?.unsubscribe();
      await places[permits]?.now(isAdmitted, 'the next is admitted');
      await stage.inLine('pool', permits + 1);
      expect(places[permits + 1]?.last?.admitted).toBe(false);
      places[0]?.unsubscribe();
      await places[permits + 1]?.now(isAdmitted, 'the last is admitted');
    });
  }

  hazard('a place is told when it is taken, and once more when it is admitted', async (stage) => {
    const backend = stage.backend();
    const places: Probe<Place>[] = [];
    for (let i = 0; i < 5; i++) {
      places.push(stage.enter(backend, 'pool', { permits: 2 }));
      await stage.inLine('pool', i + 1);
    }
    const [first, , , , last] = places;
    await last?.first('the place');
    for (let left = 0; left < 4; left++) {
      places[left]?.unsubscribe();
      await stage.inLine('pool', 4 - left);
    }
    await last?.now(isAdmitted, 'the admission');
    expect(first?.values.map(({ ahead, admitted }) => [ahead, admitted])).toEqual([[0, true]]);
    expect(last?.values.map(({ admitted }) => admitted)).toEqual([false, true]);
    expect(last?.values[0]?.ahead).toBe(2); // of the four, as many as there are permits
    expect(last?.values[1]?.entry).toEqual(last?.values[0]?.entry);
  });

  hazard('nobody stays in line who would not wait, and is told so when nothing is left', async (stage) => {
    const holder = stage.enter(stage.backend(), 'pool');
    await holder.now(isAdmitted, 'the holder is admitted');
    const place = await lastValueFrom(stage.backend().enter({ kind: 'lock', name: 'pool' }, request({ wait: false })));
    expect(place).toMatchObject({ admitted: false, ahead: 1 });
    expect(place.isValid()).toBe(false);
    expect((await stage.entries('pool')).map(({ id }) => id)).toEqual([holder.last?.entry.id]);
  });

  hazard('who is evicted is told; who is not there cannot be evicted, nor through another roster', async (stage) => {
    const victim = stage.enter(stage.backend(), 'pool', { mode: 'shared' });
    const other = stage.enter(stage.backend(), 'pool', { mode: 'shared' });
    const { entry, signal } = await victim.now(isAdmitted, 'the place');
    await other.now(isAdmitted, 'the other place');
    const evict = (name: string, id: string): Promise<boolean> =>
      lastValueFrom(stage.watcher.evict({ kind: 'lock', name }, id));
    for (const id of ['nobody', '0'.repeat(32), `../pool/${entry.id}`, '']) expect(await evict('pool', id)).toBe(false);
    expect(await evict('another', entry.id)).toBe(false);
    expect(await evict('pool', entry.id)).toBe(true);
    const error = await victim.failure('it was evicted');
    expect(error).toBeInstanceOf(PlaceLost);
    expect(error).toMatchObject({ reason: 'evicted' });
    expect(signal.aborted).toBe(true);
    expect(await evict('pool', entry.id)).toBe(false);
    expect((await stage.entries('pool')).map(({ id }) => id)).toEqual([other.last?.entry.id]);
    expect(other.hasEnded).toBe(false);
  });

  hazard('who leaves is told when nobody sees it any more, and whether it stood there until then', async (stage) => {
    const backend = stage.backend();
    for (const mode of ['exclusive', 'shared'] as const) {
      const stands = stage.enter(backend, 'pool', { mode });
      const place = await stands.now(isAdmitted, 'the place');
      const next = stage.enter(stage.backend(), 'pool');
      await next.now(waits, 'the next one');
      expect(await lastValueFrom(place.leave())).toBe(true);
      expect((await stage.entries('pool')).map(({ id }) => id)).toEqual([next.last?.entry.id]);
      await stands.completion('it has left');
      const { entry, leave } = await next.now(isAdmitted, 'the next is admitted');
      expect(await lastValueFrom(stage.watcher.evict({ kind: 'lock', name: 'pool' }, entry.id))).toBe(true);
      await next.failure('it was evicted');
      expect(await lastValueFrom(leave())).toBe(false);
    }
  });

  hazard('who leaves after it was evicted, and before it was told, is told that it was not there', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    // Opening a session, and the first entry of all, may take many replies, one after the other: these are not late.
    await stage.enter(backend, 'warm').now(isAdmitted, 'the first place');
    link.delayReplies(stage.quirks.ttlMs / 8);
    const faults = stage.probe(backend.faults$);
    const evicted = async (): Promise<{ readonly isValid: boolean; readonly wasThere: boolean }> => {
      const place = await stage.enter(backend, 'pool').now(isAdmitted, 'the place');
      expect(await lastValueFrom(stage.watcher.evict({ kind: 'lock', name: 'pool' }, place.entry.id))).toBe(true);
      const isValid = place.isValid();
      return { isValid, wasThere: await lastValueFrom(place.leave()) };
    };
    let told: number;
    let outcome: Awaited<ReturnType<typeof evicted>>;
    do {
      told = faults.values.length;
      outcome = await evicted();
      // Where a request got no answer in time it was repeated, and nobody knows which of the two found nothing.
    } while (faults.values.length > told);
    expect(outcome).toEqual({ isValid: true, wasThere: false });
    link.delayReplies(0);
  });

  hazard('of who leaves and who evicts it at the same moment, one tells that it was there', async (stage) => {
    const backend = stage.backend();
    for (let round = 0; round < 12; round++) {
      const place = await stage.enter(backend, 'pool', { mode: 'shared' }).now(isAdmitted, 'the place');
      const acts = {
        evict: () => lastValueFrom(stage.watcher.evict({ kind: 'lock', name: 'pool' }, place.entry.id)),
        leave: () => lastValueFrom(place.leave()),
      };
      const order = round % 2 === 0 ? (['evict', 'leave'] as const) : (['leave', 'evict'] as const);
      const outcomes = await Promise.all(order.map((act) => acts[act]()));
      expect({ round, trues: outcomes.filter((was) => was).length }).toEqual({ round, trues: 1 });
      expect(await stage.entries('pool')).toEqual([]);
    }
  });

  hazard('entries come complete at once, in the order of tokens, with mode and payload', async (stage) => {
    const modes: Mode[] = ['shared', 'exclusive', 'shared'];
    const backends = [stage.backend(), stage.backend()];
    for (const [i, mode] of modes.entries()) {
      stage.enter(backends[i % 2] as (typeof backends)[0], 'pool', { mode, payload: bytes(`p${i}`) });
      await stage.inLine('pool', i + 1);
    }
    const line = stage.line('pool', 'lock', stage.backend());
    const entries = await line.first('the entries');
    expect(entries.map(({ mode, payload }) => [mode, textOf(payload)])).toEqual([
      ['shared', 'p0'],
      ['exclusive', 'p1'],
      ['shared', 'p2'],
    ]);
    const tokens = entries.map(({ token }) => token);
    expect(tokens).toEqual([...tokens].sort((a, b) => Number(a - b)));
    expect(new Set(entries.map(({ id }) => id)).size).toBe(3);
  });

  hazard('a payload is replaced in place; the last one is the truth', async (stage) => {
    const payload$ = new Subject<Uint8Array>();
    const place = stage.enter(stage.backend(), 'pool', { payload: bytes('v0'), payload$ });
    const { entry } = await place.now(isAdmitted, 'the place');
    const next = stage.enter(stage.backend(), 'pool');
    await next.now(waits, 'the next waits');
    const line = stage.line('pool');
    await line.first('the line');
    for (let v = 1; v <= 20; v++) payload$.next(bytes(`v${v}`));
    const last = await line.now(
      ([first]) => first !== undefined && textOf(first.payload) === 'v20',
      'the last payload',
    );
    expect(last[0]).toMatchObject({ id: entry.id, token: entry.token });
    expect(line.values.every(({ length }) => length === 2)).toBe(true);
    expect(next.last?.admitted).toBe(false);
  });

  hazard('registrations are told complete at once, then change by change', async (stage) => {
    const backend = stage.backend();
    const act = (name: string) => ({ kind: 'group', name }) as const;
    expect(await lastValueFrom(backend.register(act('one')))).toBe(true);
    expect(await lastValueFrom(backend.register(act('two')))).toBe(true);
    const names = stage.probe(stage.watcher.registered('group'));
    await names.first('the first set');
    expect(await lastValueFrom(backend.register(act('two')))).toBe(false);
    expect(await lastValueFrom(backend.unregister(act('one')))).toBe('removed');
    await names.now(consistsOf('two'), 'the set without one');
    expect(await lastValueFrom(backend.unregister(act('one')))).toBe('absent');
    expect(names.values).toEqual([new Set(['one', 'two']), new Set(['two'])]);
  });

  hazard('who changes what it is told of while it is told is told of the change', async (stage) => {
    const backend = stage.backend();
    const told = <T>(source$: Observable<T>, change: () => void): Probe<T> => {
      const changing = defer(() => {
        change();
        return EMPTY;
      });
      return stage.probe(source$.pipe(concatMap((value, at) => (at === 0 ? concat(of(value), changing) : of(value)))));
    };
    const line = told(backend.entries({ kind: 'lock', name: 'pool' }), () => {
      stage.enter(backend, 'pool');
    });
    const names = told(backend.registered('group'), () => {
      stage.probe(backend.register({ kind: 'group', name: 'one' }));
    });
    const values = told(backend.cell('config'), () => {
      stage.probe(backend.swap('config', 'absent', bytes('set')));
    });
    await line.now(({ length }) => length === 1, 'the entry');
    await names.now(consistsOf('one'), 'the registration');
    await values.now((value) => value !== undefined && textOf(value.value) === 'set', 'the value');
    expect([line.values.length, names.values.length, values.values.length]).toEqual([2, 2, 2]);
  });

  for (const [who, permitsOf] of [
    ['with one permit', () => 1],
    ['with two permits', () => 2],
    ['with three permits', () => 3],
    ['who ask for different permits', (random: () => number) => 1 + Math.floor(random() * 3)],
  ] as const) {
    hazard(`of many who come and go ${who}, just those are admitted who should be`, async (stage) => {
      const seed = Number(process.env['CONCLAVE_TEST_SEED'] ?? 1);
      try {
        await comeAndGo(stage, mulberry32(seed), permitsOf, 30);
      } catch (cause) {
        throw new Error(`with CONCLAVE_TEST_SEED=${seed}: ${cause}`, { cause });
      }
    });
  }
}

function request(wish: { readonly wait?: boolean }) {
  return { mode: 'exclusive', permits: 1, payload: new Uint8Array(), ...wish } as const;
}

interface Actor {
  readonly mode: Mode;
  readonly permits: number;
  readonly place: Probe<Place>;
}

/** Compares each place, after each step, with what the definition of admission says. */
async function comeAndGo(
  stage: Stage,
  random: () => number,
  permitsOf: (random: () => number) => number,
  steps: number,
): Promise<void> {
  const backends = [stage.backend(), stage.backend(), stage.backend()];
  let actors: Actor[] = [];
  for (let step = 0; step < steps; step++) {
    if (actors.length < 2 || (actors.length < 8 && random() < 0.55)) {
      const mode = random() < 0.5 ? 'shared' : 'exclusive';
      const permits = permitsOf(random);
      const backend = backends[Math.floor(random() * 3)] as (typeof backends)[0];
      actors.push({ mode, permits, place: stage.enter(backend, 'pool', { mode, permits }) });
    } else {
      const leaving = actors[Math.floor(random() * actors.length)];
      leaving?.place.unsubscribe();
      actors = actors.filter((actor) => actor !== leaving);
    }
    await stage.inLine('pool', actors.length);
    for (const [i, { mode, permits, place }] of actors.entries()) {
      const conflicting = actors.slice(0, i).filter((other) => mode === 'exclusive' || other.mode === 'exclusive');
      const shouldBe = conflicting.length < permits;
      await place.now(({ admitted }) => admitted === shouldBe, `admitted: ${shouldBe}, in step ${step}`);
    }
  }
  for (const { place } of actors) expect(place.hasEnded).toBe(false);
}

/** A small generator that can be started from the same seed again. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
