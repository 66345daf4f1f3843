import { schedule, scheduleHistory, type Tick, type TickEvent } from 'conclave';
import { NEVER, of, timer } from 'rxjs';
import { expect } from 'vitest';
import type { Suite } from './stage.js';

/** What is done once per tick over all processes. */
export function schedulingCases({ hazard }: Suite): void {
  const every = { everyMs: 250 };
  const dateOf = ({ tick }: TickEvent<unknown>): number => tick.date.getTime();

  hazard(
    'each tick is begun once, by one of three, also where the lead goes from hand to hand, and none is left out',
    async (stage) => {
      const begun: number[] = [];
      const work = ({ date }: Tick) => {
        begun.push(date.getTime());
        return of(undefined);
      };
      const probes = [1, 2, 3].map(() =>
        stage.probe(schedule(stage.backend(), 'invoices', every, work, { missed: 'all', overlap: 'queue' })),
      );
      for (const probe of probes) {
        const { length } = begun;
        const goesOn = ({ kind }: TickEvent<unknown>): boolean => kind === 'done' && begun.length > length + 1;
        await Promise.race(probes.map((each) => each.ever(goesOn, 'two more ticks')));
        probe.unsubscribe();
      }
      expect(begun.length).toBeGreaterThan(4);
      expect(new Set(begun).size).toBe(begun.length);
      // Whoever left may have claimed one that it has not begun.
      const failed = probes.flatMap(({ values }) => values.filter(({ kind }) => kind === 'failed').map(dateOf));
      const all = [...new Set([...begun, ...failed])].sort((a, b) => a - b);
      expect(all).toEqual(all.map((_, i) => (all[0] ?? 0) + i * every.everyMs));
    },
  );

  hazard('a tick whose runner has gone is done again with a greater token, or has failed', async (stage) => {
    for (const delivery of ['at-least-once', 'at-most-once'] as const) {
      const [here, there] = [stage.backend(), stage.backend()];
      const options = { delivery, missed: 'all' } as const;
      const first = stage.probe(schedule(here, delivery, every, () => NEVER, options));
      const claimed = await first.first('the first tick');
      const second = stage.probe(schedule(there, delivery, every, () => of('by the second'), options));
      first.unsubscribe();
      const told = await second.first('what became of that tick');
      expect(dateOf(told)).toBe(dateOf(claimed));
      if (delivery === 'at-most-once') {
        expect(told).toMatchObject({ kind: 'failed', error: { _tag: 'TickInterrupted' } });
      } else {
        expect(told).toMatchObject({ kind: 'claimed', tick: { attempt: 2 } });
        expect(told.token).toBeGreaterThan(claimed.token);
        const done = await second.ever(({ kind }) => kind === 'done', 'the end of that tick');
        expect(done).toMatchObject({ tick: { attempt: 2 }, value: 'by the second' });
      }
      second.unsubscribe();
    }
  });

  hazard('what became of the last ticks is seen by everybody', async (stage) => {
    const fails = ({ date }: Tick) => {
      if ((date.getTime() / every.everyMs) % 2 === 0) throw new Error('an even one');
      return timer(10);
    };
    const runner = stage.probe(schedule(stage.backend(), 'reports', every, fails));
    await runner.ever(({ kind }) => kind === 'failed', 'a tick that fails');
    await runner.ever(({ kind }) => kind === 'done', 'one that does not');
    const history = stage.probe(scheduleHistory(stage.watcher, 'reports'));
    const ticks = await history.now(
      (records) => ['failed', 'done'].every((state) => records.some((record) => record.state === state)),
      'both in the history',
    );
    for (const { date, state, attempt, error, startedAt, endedAt } of ticks) {
      // On a machine that is busy otherwise one may come while the last one works.
      if (state !== 'done' && state !== 'failed') continue;
      const isEven = (date.getTime() / every.everyMs) % 2 === 0;
      expect({ state, attempt, error }).toEqual(
        isEven ? { state: 'failed', attempt: 1, error: 'Error: an even one' } : { state: 'done', attempt: 1 },
      );
      expect(startedAt?.getTime()).toBeGreaterThanOrEqual(date.getTime());
      expect(endedAt?.getTime()).toBeGreaterThanOrEqual(startedAt?.getTime() ?? 0);
    }
  });
}
