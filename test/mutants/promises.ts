import { defer, map, Observable, switchMap, throwError } from 'rxjs';
import { NotSupported } from '../../src/backends/errors.js';
import type { LocalStore } from '../../src/testing/conformance/within-process.js';
import { type Alter, declaring, inSession } from './altered.js';
import { type Alteration, above, type Mutant } from './mutant.js';

/** A server whose adapter is another. */
const serving = (store: LocalStore, alter: Alter, overrides: Partial<LocalStore> = {}): LocalStore => ({
  adapter: (namespace) => alter(store.adapter(namespace)),
  stop: () => store.stop(),
  start: (options) => store.start(options),
  expire: (sessionId) => store.expire(sessionId),
  ...overrides,
});

/** Tokens as if they had begun at `base`, which moves. */
const tokensFrom = (base: () => bigint, seen: (token: bigint) => void): Alter =>
  inSession((session) => ({
    enter: (...args) =>
      session.enter(...args).pipe(
        map((standing) => {
          seen(standing.entry.token);
          return { ...standing, entry: { ...standing.entry, token: standing.entry.token - base() } };
        }),
      ),
  }));

/** Cells that were last written before a moment that moves are not there. */
const cellsSince = (lost: () => bigint, written: (version: bigint) => void): Alter =>
  inSession((session) => ({
    swap: (...args) =>
      session.swap(...args).pipe(
        map((result) => {
          if (result.current !== undefined) written(result.current.version);
          return result;
        }),
      ),
    cell: (key) =>
      session.cell(key).pipe(map((cell) => (cell === undefined || cell.version <= lost() ? undefined : cell))),
  }));

/** What is declared, and is not so. */
export const promiseMutants: readonly Mutant[] = [
  {
    rule: 'Processes on several machines share it',
    how: 'says so of a store within one process',
    alter: () => ({ above: declaring({ distributed: true }), declares: { distributed: true } }),
    caughtBy: ['two processes never hold at once; a store within one process does not claim to see another'],
  },
  {
    rule: 'Admission is first come, first served',
    how: 'lets every other one wait for a while before it stands in line',
    alter: (): Alteration => {
      let entered = 0;
      return {
        above: inSession((session) => ({
          enter: (...args) =>
            defer(() =>
              ++entered % 2 === 0
                ? session.enter(...args)
                : new Observable<void>((subscriber) => {
                    const later = setTimeout(() => subscriber.next(), 50);
                    return () => clearTimeout(later);
                  }).pipe(switchMap(() => session.enter(...args))),
            ),
        })),
      };
    },
    caughtBy: ['who stand in line in the same moment stand in the order in which they subscribed'],
  },
  {
    rule: 'Tokens keep growing when the store restarts with its data',
    how: 'counts them in its memory only',
    alter: (): Alteration => {
      let [base, last] = [0n, 0n];
      return {
        server: (store) =>
          serving(
            store,
            tokensFrom(
              () => base,
              (token) => {
                last = token;
              },
            ),
            {
              start: (options) => {
                base = last;
                store.start(options);
              },
            },
          ),
      };
    },
    caughtBy: ['tokens grow across a restart of the store with its data, if so declared'],
  },
  {
    rule: 'Tokens keep growing when the store loses its data',
    how: 'counts them from one again',
    alter: () => ({ above: declaring({ tokensSurviveDataLoss: true }), declares: { tokensSurviveDataLoss: true } }),
    caughtBy: ['tokens grow across the loss of the data of the store, if so declared'],
  },
  {
    rule: 'tokensSurviveRestart',
    how: 'acknowledges what it has not written',
    alter: (): Alteration => {
      let [lost, last] = [0n, 0n];
      return {
        server: (store) =>
          serving(
            store,
            cellsSince(
              () => lost,
              (version) => {
                last = version;
              },
            ),
            {
              stop: () => {
                lost = last;
                store.stop();
              },
            },
          ),
      };
    },
    caughtBy: ['what was acknowledged before the store was killed is there when it is back with its data'],
  },
  {
    rule: 'What was acknowledged is never lost by a fail-over of the store: there is no asynchronous replication',
    how: 'replicates asynchronously',
    alter: (): Alteration => {
      let [lost, last] = [0n, 0n];
      return {
        replicated: (store) => ({
          ...serving(
            store,
            cellsSince(
              () => lost,
              (version) => {
                last = version;
              },
            ),
          ),
          isolate: () => undefined,
          failOver: () => {
            lost = last;
          },
        }),
      };
    },
    caughtBy: ['what was acknowledged is there after a fail-over of the store, if so declared'],
  },
  {
    rule: 'Cells can be compared and set',
    how: 'has none',
    alter: above(
      inSession(() => ({
        swap: () => throwError(() => new NotSupported('map', 'cells')),
        cell: () => throwError(() => new NotSupported('map', 'cells')),
      })),
    ),
    caughtBy: ['a cell is created once, however many try'],
  },
  {
    rule: 'What the store cannot promise, in a sentence each, for people',
    how: 'keeps it to itself',
    alter: above(declaring({ caveats: [] })),
    caughtBy: ['it declares what this suite has shown'],
  },
  {
    rule: 'in a sentence each, for people',
    how: 'has half sentences',
    alter: above(declaring({ caveats: ['one process'] })),
    caughtBy: ['it declares what this suite has shown'],
  },
  {
    rule: 'distributed',
    how: 'declares less than it was said to',
    alter: above(declaring({ fair: false })),
    caughtBy: ['it declares what this suite has shown'],
  },
];
