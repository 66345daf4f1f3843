import { catchError, defer, map, NEVER, Observable, of, skip, tap } from 'rxjs';
import type { Entry } from '../../src/backends/backend.js';
import { CoordinationError, Unavailable } from '../../src/backends/errors.js';
import type { StandRequest } from '../../src/backends/store.js';
import { deafAfter, erring, inSession } from './altered.js';
import { above, below, type Mutant } from './mutant.js';

const sharesNot = 'two subscriptions of one process do not share a lock';
const evicted = 'who is evicted is told; who is not there cannot be evicted, nor through another roster';
const registrations = 'registrations are told complete at once, then change by change';
const ordered = 'entries come complete at once, in the order of tokens, with mode and payload';
const looked = 'one look tells who is there when it is asked, and completes';

const entriesAs = (alter: (entry: Entry) => Entry) =>
  inSession((session) => ({
    enter: (roster, request) =>
      session.enter(roster, request).pipe(map((standing) => ({ ...standing, entry: alter(standing.entry) }))),
    entries: (roster) => session.entries(roster).pipe(map((entries) => entries.map(alter))),
    look: (roster) => session.look(roster).pipe(map((entries) => entries.map(alter))),
  }));

/** How many there are ahead, and one more where that is as many as there are permits. */
const uncapped = (ahead: number, { permits }: StandRequest): number => (ahead === permits ? ahead + 1 : ahead);

/** What is said of standing in line, and of looking at it. */
export const standingMutants: readonly Mutant[] = [
  {
    rule: 'capped at `permits`',
    how: 'counts on',
    alter: above(
      inSession((session) => ({
        enter: (roster, request) =>
          session.enter(roster, request).pipe(map((s) => ({ ...s, ahead: uncapped(s.ahead, request) }))),
        place: (roster, request, standing) =>
          session.place(roster, request, standing).pipe(map((ahead) => uncapped(ahead, request))),
      })),
    ),
    caughtBy: ['2 permits admit 2, and one more for each who leaves'],
  },
  {
    rule: 'any finite number where that is Infinity',
    how: 'counts to Infinity',
    alter: above(
      inSession((session) => ({
        enter: (roster, request) =>
          session
            .enter(roster, request)
            .pipe(map((s) => (Number.isFinite(request.permits) ? s : { ...s, ahead: Number.POSITIVE_INFINITY }))),
      })),
    ),
    caughtBy: ['who may stand beside any number has nobody ahead'],
  },
  {
    rule: 'entering again under the same id finds the entry made before',
    how: 'makes another',
    alter: () => {
      const known = new Set<string>();
      return {
        below: inSession((session, context) => ({
          enter: (roster, request) =>
            defer(() => {
              const isKnown = known.has(request.id);
              known.add(request.id);
              return session.enter(roster, isKnown ? { ...request, id: context.newId() } : request);
            }),
        })),
      };
    },
    caughtBy: [
      'a lost reply to standing in line makes neither an orphan nor a second entry',
      'an entry whose first request arrives after its repeat stands in line once',
    ],
  },
  {
    rule: 'Called by the adapter when a request about this entry (`enter`, `update`, `leave`) goes out, each time',
    how: 'does not call it',
    alter: above(
      inSession((session) => ({
        enter: (roster, request) => session.enter(roster, { ...request, sent: () => undefined }),
      })),
    ),
    caughtBy: ['who unsubscribes while the reply is lost leaves nothing in line'],
  },
  {
    rule: "while it waits in a queue of the adapter's own, is never sent",
    how: 'sends it all the same',
    alter: above(
      inSession((session) => ({
        enter: (roster, request) =>
          new Observable((subscriber) => {
            setTimeout(() => session.enter(roster, request).subscribe(subscriber), 20);
          }),
      })),
    ),
    caughtBy: ['of a hundred who give up before they were asked for, nobody is left in line'],
  },
  {
    rule: '`true`: fails with `GroupNotFound` unless the roster was registered',
    how: 'lets anybody in',
    alter: above(
      inSession((session) => ({
        enter: (roster, request) => session.enter(roster, { ...request, registered: false }),
      })),
    ),
    caughtBy: ['joining a group that nobody created fails, and creates nothing'],
  },
  {
    rule: 'An operation fails with `Unavailable` when it may or may not have happened',
    how: 'fails with an error of its own',
    alter: above(
      inSession((session) => ({
        swap: (...args) => session.swap(...args).pipe(erring(() => new Error('the reply was lost'))),
      })),
    ),
    caughtBy: ['a write whose reply is lost is known for its own, and happens once'],
  },
  {
    rule: 'Other CoordinationErrors go to the user',
    how: 'takes a refusal for a failure that passes',
    alter: above(
      inSession((session) => ({
        enter: (...args) =>
          session
            .enter(...args)
            .pipe(
              erring((error) => (error instanceof CoordinationError ? new Unavailable('map', 'enter', error) : error)),
            ),
      })),
    ),
    caughtBy: ['joining a group that nobody created fails, and creates nothing'],
  },
  {
    rule: 'a refusal for size is one (`InvalidPayload`)',
    how: 'takes less than is allowed, and refuses the rest as if that would pass',
    alter: above(
      inSession((session) => ({
        enter: (roster, request) =>
          request.payload.length > 32_768
            ? new Observable((subscriber) => subscriber.error(new Unavailable('map', 'enter', 'too large')))
            : session.enter(roster, request),
      })),
    ),
    caughtBy: ['64 KiB of any bytes come back as they were'],
  },
  {
    rule: 'Where the entry stands: at once',
    how: 'tells changes only',
    alter: above(inSession((session) => ({ place: (...args) => session.place(...args).pipe(skip(1)) }))),
    caughtBy: ['who becomes first while the answer to its request is on its way is told so'],
  },
  {
    rule: 'then each change',
    how: 'tells where it stood',
    alter: above(inSession((session) => ({ place: (...args) => session.place(...args).pipe(deafAfter(1)) }))),
    caughtBy: [sharesNot],
  },
  {
    rule: 'Errors with `PlaceLost` when the entry is gone',
    how: 'says nothing of it',
    alter: above(
      inSession((session) => ({ place: (...args) => session.place(...args).pipe(catchError(() => NEVER)) })),
    ),
    caughtBy: [evicted],
  },
  {
    rule: 'Replaces the payload',
    how: 'keeps the first',
    alter: above(inSession(() => ({ update: () => of(undefined) }))),
    caughtBy: ['a payload is replaced in place; the last one is the truth'],
  },
  {
    rule: 'The one asked for last counts: what was overtaken on its way changes nothing any more',
    how: 'keeps what comes last',
    alter: below(inSession((session) => ({ update: (...args) => defer(() => session.update(...args)) }))),
    caughtBy: ['a payload that arrives late does not replace a later one'],
  },
  {
    rule: 'Takes the entry out',
    how: 'leaves it to the end of the session',
    alter: above(inSession(() => ({ leave: () => of(true) }))),
    caughtBy: [sharesNot],
  },
  {
    rule: 'Emits whether it was there',
    how: 'says that it was',
    alter: above(inSession((session) => ({ leave: (...args) => session.leave(...args).pipe(map(() => true)) }))),
    caughtBy: ['who leaves after it was evicted, and before it was told, is told that it was not there'],
  },
  {
    rule: 'Emits whether it was there',
    how: 'says that it was not',
    alter: above(inSession((session) => ({ leave: (...args) => session.leave(...args).pipe(map(() => false)) }))),
    caughtBy: [
      'who leaves is told when nobody sees it any more, and whether it stood there until then',
      'who releases is told when the store has it, and whether it was held until then',
    ],
  },
  {
    rule: '`inDoubt`: an `enter` under this id may still be on its way and must not come to anything',
    how: 'takes out what is there, and refuses nothing',
    alter: above(inSession((session) => ({ leave: (roster, request) => session.leave(roster, request, false) }))),
    caughtBy: [
      'an entry that was given up while its request was on its way never stands in line',
      'an entry that has left does not come back with a request that arrives late',
    ],
  },
  {
    rule: 'Everybody in the roster, once',
    how: 'leaves the last one out',
    alter: above(
      inSession((session) => ({ look: (roster) => session.look(roster).pipe(map((all) => all.slice(0, -1))) })),
    ),
    caughtBy: [looked],
  },
  {
    rule: 'as of no earlier than the subscription',
    how: 'remembers what it saw',
    alter: above(
      inSession((session) => {
        const seen = new Map<string, readonly Entry[]>();
        return {
          look: (roster) => {
            const known = seen.get(roster.name);
            return known !== undefined
              ? of(known)
              : session.look(roster).pipe(tap((entries) => seen.set(roster.name, entries)));
          },
        };
      }),
    ),
    caughtBy: [looked],
  },
  {
    rule: 'leaves nothing watched',
    how: 'goes on watching',
    alter: above(
      inSession((session) => ({
        look: (roster) => {
          session.entries(roster).subscribe({ error: () => undefined });
          return session.look(roster);
        },
      })),
    ),
    caughtBy: ['nobody is told of what has changed since only because of a look'],
  },
  {
    rule: 'Whether the entry was there',
    how: 'says that it was',
    alter: above(inSession((session) => ({ evict: (...args) => session.evict(...args).pipe(map(() => true)) }))),
    caughtBy: [evicted],
  },
  {
    rule: 'and has been taken out',
    how: 'says so, and lets it stand',
    alter: above(
      inSession((session) => ({
        evict: (roster, entryId) =>
          session.look(roster).pipe(map((entries) => entries.some(({ id }) => id === entryId))),
      })),
    ),
    caughtBy: [evicted],
  },
  {
    rule: '`false`: it was registered before',
    how: 'says that it is new',
    alter: above(inSession((session) => ({ register: (...args) => session.register(...args).pipe(map(() => true)) }))),
    caughtBy: [registrations],
  },
  {
    rule: 'unregister',
    how: 'ends what is occupied',
    alter: above(
      inSession((session) => ({
        unregister: (...args) =>
          session.unregister(...args).pipe(map((outcome) => (outcome === 'occupied' ? 'removed' : outcome))),
      })),
    ),
    caughtBy: ['a group that has members, or does not exist, cannot be deleted; one that is deleted is gone'],
  },
  {
    rule: 'registered',
    how: 'tells the first set only',
    alter: above(inSession((session) => ({ registered: (kind) => session.registered(kind).pipe(deafAfter(1)) }))),
    caughtBy: [registrations],
  },
  {
    rule: 'cell',
    how: 'tells the first value only',
    alter: above(inSession((session) => ({ cell: (key) => session.cell(key).pipe(deafAfter(1)) }))),
    caughtBy: ['changes of a cell are told, the current value first, none twice, and the last one is the truth'],
  },
  {
    rule: 'entries',
    how: 'tells the first snapshot only',
    alter: above(inSession((session) => ({ entries: (roster) => session.entries(roster).pipe(deafAfter(1)) }))),
    caughtBy: ['who changes what it is told of while it is told is told of the change'],
  },
  {
    rule: 'what the cell holds now, or held after the write',
    how: 'tells nothing of it',
    alter: above(
      inSession((session) => ({
        swap: (...args) => session.swap(...args).pipe(map((result) => ({ ...result, current: undefined }))),
      })),
    ),
    caughtBy: ['a write that expects another version changes nothing, and tells what there is'],
  },
  {
    rule: 'Grows with every entry ever made in the roster',
    how: 'gives tokens out again',
    alter: above(entriesAs((entry) => ({ ...entry, token: entry.token % 2n }))),
    caughtBy: ['tokens grow although nobody was in line meanwhile'],
  },
  {
    rule: 'unique in its roster, and what `evict` takes',
    how: 'names all alike',
    alter: above(entriesAs((entry) => ({ ...entry, id: 'one' }))),
    caughtBy: [ordered],
  },
  {
    rule: 'mode',
    how: 'shows all as exclusive',
    alter: above(entriesAs((entry) => ({ ...entry, mode: 'exclusive' }))),
    caughtBy: [ordered],
  },
  {
    rule: 'payload',
    how: 'keeps half of it',
    alter: above(entriesAs((entry) => ({ ...entry, payload: entry.payload.slice(0, entry.payload.length / 2) }))),
    caughtBy: [ordered],
  },
  {
    rule: 'The version changes with each write and never returns to an earlier one',
    how: 'counts the versions of a cell from one again when it was deleted',
    alter: () => {
      const versions = new Map<bigint, bigint>();
      const low = (version: bigint): bigint => {
        const known = versions.get(version) ?? BigInt(versions.size % 2);
        versions.set(version, known);
        return known;
      };
      return {
        above: inSession((session) => ({
          swap: (...args) =>
            session
              .swap(...args)
              .pipe(
                map((result) =>
                  result.current === undefined
                    ? result
                    : { ...result, current: { ...result.current, version: low(result.current.version) } },
                ),
              ),
        })),
      };
    },
    caughtBy: ['a version never comes back, not even after the cell was deleted'],
  },
];
