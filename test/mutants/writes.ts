import { catchError, map, type Observable, switchMap, tap, throwError } from 'rxjs';
import { SessionLost } from '../../src/backends/errors.js';
import type { Store, StoreContext, StoreSession } from '../../src/backends/store.js';
import { writes } from '../../src/testing/conformance/repeats.js';
import { another, inSession, writingUnder } from './altered.js';
import { type Alteration, below, type Mutant } from './mutant.js';

/** The cases of one kind about the writes whose description begins so, in all histories in which doing it again shows. */
const cases = (said: (what: string, how: string) => string, what: string, ...unseen: readonly string[]) => {
  const [first, ...rest] = writes
    .filter((write) => write.what.startsWith(what))
    .flatMap((write) => Object.keys(write.undone).map((how) => [write.what, how] as const))
    .filter(([, how]) => !unseen.includes(how))
    .map(([of, how]) => said(of, how));
  if (first === undefined) throw new Error(`no write is called ${what}`);
  return [first, ...rest] as const;
};
const repeated = (what: string, ...unseen: readonly string[]) =>
  cases((of, how) => `${of}, unanswered and ${how} since, is known when repeated and undoes nothing`, what, ...unseen);
const late = (what: string, ...unseen: readonly string[]) =>
  cases((of, how) => `${of} whose first copy arrives after its repeat, ${how} since, undoes nothing`, what, ...unseen);
const posthumous = (what: string): string => `${what} that arrives after the end of its session changes nothing`;

/** Some writes of a session under ids that are new each time. */
const forgetting = (...names: readonly (keyof StoreSession)[]) =>
  inSession((session, context) => {
    const all = writingUnder(session, () => context.newId());
    return Object.fromEntries(Object.entries(all).filter(([name]) => names.some((each) => each === name)));
  });

/** What a session that has ended is refused is done by another one. */
const outliving = <T>(
  act: (session: StoreSession) => Observable<T>,
  session: StoreSession,
  context: StoreContext,
  adapter: Store,
): Observable<T> =>
  act(session).pipe(
    catchError((error) =>
      error instanceof SessionLost ? another(adapter, context).pipe(switchMap(act)) : throwError(() => error),
    ),
  );

/** What a write has changed is not known under its id when it comes again. */
export const writeMutants: readonly Mutant[] = [
  {
    rule: 'What a write has changed is kept in the store under that id',
    how: 'keeps it with the value of the cell, as long as that stays',
    alter: (): Alteration => {
      const latest = new Map<string, string>();
      return {
        below: inSession((session, context) => ({
          swap: (key, expected, value, writeId) => {
            const isLatest = latest.get(key) === writeId;
            return session.swap(key, expected, value, isLatest ? writeId : context.newId()).pipe(
              map((result) => (isLatest ? { ...result, swapped: true } : result)),
              tap(({ swapped }) => swapped && latest.set(key, writeId)),
            );
          },
        })),
      };
    },
    caughtBy: [
      'a value written whatever there was, unanswered and written over since, is known when repeated and undoes nothing',
    ],
  },
  {
    rule: 'asked again, it tells the same and changes nothing, whatever others have done since',
    how: 'writes a cell once more',
    alter: below(forgetting('swap')),
    caughtBy: [
      ...repeated('a value'),
      ...repeated('a deletion of a version'),
      ...repeated('a deletion of whatever there was', 'made anew and deleted'),
    ],
  },
  {
    rule: 'asked again, it tells the same and changes nothing, whatever others have done since',
    how: 'registers once more',
    alter: below(forgetting('register')),
    caughtBy: repeated('a registration'),
  },
  {
    rule: 'asked again, it tells the same and changes nothing, whatever others have done since',
    how: 'ends a registration once more',
    alter: below(forgetting('unregister')),
    caughtBy: repeated('the end of a registration'),
  },
  {
    rule: 'asked again, it tells the same and changes nothing, whatever others have done since',
    how: 'evicts once more, and finds nobody',
    alter: below(forgetting('evict')),
    caughtBy: ['an eviction, unanswered, is known when repeated'],
  },
  {
    rule: 'in the same transaction',
    how: 'keeps it by a second request, once it has the answer',
    alter: (): Alteration => {
      const kept = new Set<string>();
      return {
        above: inSession((session) => ({
          swap: (key, expected, value, writeId) =>
            session.swap(key, expected, value, writeId).pipe(tap(() => kept.add(writeId))),
        })),
        below: inSession((session, context) => writingUnder(session, (id) => (kept.has(id) ? id : context.newId()))),
      };
    },
    caughtBy: repeated('a value written over a version'),
  },
  {
    rule: 'for as long as its session lives',
    how: 'keeps it for a moment',
    alter: (): Alteration => {
      const firstMs = new Map<string, number>();
      return {
        below: inSession((session, context) =>
          writingUnder(session, (id) => {
            const since = firstMs.get(id) ?? context.now();
            firstMs.set(id, since);
            return context.now() - since > 5 ? context.newId() : id;
          }),
        ),
      };
    },
    caughtBy: repeated('a deletion of whatever there was', 'made anew and deleted'),
  },
  {
    rule: 'nor does an earlier copy of it that arrives late',
    how: 'forgets it when it has been answered, though it was sent twice',
    alter: (): Alteration => {
      const answered = new Set<string>();
      const answering = <T>(id: string) => tap<T>(() => answered.add(id));
      return {
        above: inSession((session) => ({
          swap: (key, expected, value, id) => session.swap(key, expected, value, id).pipe(answering(id)),
          register: (roster, id) => session.register(roster, id).pipe(answering(id)),
          unregister: (roster, id) => session.unregister(roster, id).pipe(answering(id)),
        })),
        below: inSession((session, context) =>
          writingUnder(session, (id) => (answered.has(id) ? context.newId() : id)),
        ),
      };
    },
    // Elsewhere it fails, as it should: what it expects is not there any more.
    caughtBy: [
      ...late('a value written whatever there was'),
      ...late('a value written where there was none', 'written over', 'deleted and made anew'),
      ...late('a deletion of whatever there was', 'made anew and deleted'),
      ...late('a registration', 'taken back and made anew'),
      ...late('the end of a registration', 'made anew and ended'),
    ],
  },
  {
    rule: 'No request of a session that has ended has any effect',
    how: 'writes a cell without asking whose session it is',
    alter: below(
      inSession((session, context, adapter) => ({
        swap: (...args) => outliving((own) => own.swap(...args), session, context, adapter),
      })),
    ),
    caughtBy: [posthumous('a value written whatever there was'), posthumous('a deletion of whatever there was')],
  },
  {
    rule: 'No request of a session that has ended has any effect',
    how: 'registers and ends registrations without asking whose session it is',
    alter: below(
      inSession((session, context, adapter) => ({
        register: (...args) => outliving((own) => own.register(...args), session, context, adapter),
        unregister: (...args) => outliving((own) => own.unregister(...args), session, context, adapter),
      })),
    ),
    caughtBy: [posthumous('a registration'), posthumous('the end of a registration')],
  },
  {
    rule: 'No request of a session that has ended has any effect',
    how: 'lets an entry stand without asking whether its session lives',
    alter: below(
      inSession((session, context, adapter) => ({
        enter: (...args) => outliving((own) => own.enter(...args), session, context, adapter),
      })),
    ),
    caughtBy: ['an entry whose request arrives after the end of its session stands nowhere'],
  },
];
