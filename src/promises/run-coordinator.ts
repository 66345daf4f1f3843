import { firstValueFrom, map, type Observable, throwIfEmpty } from 'rxjs';
import type { Backend } from '../backends/backend.js';
import { BackendClosed, InvalidName, NotSupported } from '../backends/errors.js';
import { check, objectWith } from '../backends/shared/expectations.js';
import { type Journal, JournalCell, keyOf, type Line, withLine } from '../observables/scheduling/journal.js';
import { dateMsOf } from '../observables/scheduling/occurrences.js';

/** What node-cron 4 asks before each run of a task that is `distributed`. */
export interface RunCoordinator {
  shouldRun(key: string, ttlMs: number): Promise<boolean>;
  onComplete(key: string): Promise<void>;
}

/**
 * Lets one of all processes run each tick of a `distributed` task of node-cron 4.
 *
 *     a        --ask-true-run----------
 *     b        ---ask-false------------
 *
 * Each tick is claimed in a cell before `shouldRun` says `true`. `scheduleHistory(backend, name)`, with the name of the task, shows what
 * was run, and by `done` that a run has ended, well or not: node-cron does not tell which.
 *
 * **Rejects** where the store cannot be asked, and never with a guess: node-cron skips the run then. `InvalidName` for a key that
 * does not end in a date; what `backend.swap` errors with; `BackendClosed`.
 * **Guarantee** not: that a run whose process dies is run again, which node-cron never asks for; `schedule` does that. Nor that a
 * tick is run after a later one of the task was claimed. `ttlMs`, the lease that node-cron proposes, is not needed: a claim does
 * not expire. But: at most one run of each tick, whatever the clocks of the processes say.
 * **Source** node-cron `RunCoordinator`.
 *
 * @example
 * // import cron from 'node-cron';
 * // cron.setRunCoordinator(runCoordinator(backend));
 * // cron.schedule('0 3 * * *', sendInvoices, { name: 'invoices', distributed: true });
 * const coordinator = runCoordinator(backend);
 */
export function runCoordinator(backend: Backend): RunCoordinator {
  check({ backend }, { backend: objectWith('swap', 'cell') }, ['backend']);
  if (!backend.characteristics.cells) throw new NotSupported(backend.name, 'schedules, which need cells');
  const journals = new Map<string, JournalCell>();
  const nowMs = (): number => dateMsOf(backend);
  const of = (key: string): { journal: JournalCell; at: number } => {
    const [, name = '', date = ''] = /^(.*):(\d{4}-\d\d-\d\dT.*Z)$/s.exec(key) ?? [];
    const at = Date.parse(date);
    if (Number.isNaN(at)) throw new InvalidName(key, 'the key of a run is the name of its task, a colon and a date');
    const known = journals.get(name) ?? new JournalCell(backend, name, keyOf(name));
    journals.set(name, known);
    return { journal: known, at };
  };
  const settled = <T>(written$: Observable<T>): Promise<T> =>
    firstValueFrom(written$.pipe(throwIfEmpty(() => new BackendClosed(backend.name))));
  return {
    shouldRun: async (key) => {
      const { journal, at } = of(key);
      const line: Line = { at, state: 'claimed', token: '0', attempt: 1, from: nowMs(), by: backend.newId() };
      let isClaimed = false;
      const claim = (known: Journal | undefined): Journal | undefined => {
        // The answer to a claim may have got lost.
        const isWritten = known?.lines.some(({ by }) => by === line.by) === true;
        isClaimed = isWritten || known === undefined || at > known.handled;
        return isClaimed && !isWritten ? withLine(known ?? { handled: at, lines: [] }, line) : known;
      };
      return settled(journal.write(claim).pipe(map(() => isClaimed)));
    },
    onComplete: async (key) => {
      const { journal, at } = of(key);
      const end = (known: Journal | undefined): Journal | undefined => {
        const line = known?.lines.find((one) => one.at === at);
        if (known === undefined || line?.state !== 'claimed') return known;
        return withLine(known, { ...line, state: 'done', to: nowMs() });
      };
      await settled(journal.write(end).pipe(map(() => undefined)));
    },
  };
}
