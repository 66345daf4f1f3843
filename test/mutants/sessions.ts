import { asyncScheduler, catchError, concatWith, map, mergeMap, NEVER, Observable, of, tap } from 'rxjs';
import { SessionLost, Unavailable } from '../../src/backends/errors.js';
import { asPassing, erring, everywhere, inContext, inSession } from './altered.js';
import { above, type Mutant } from './mutant.js';

const toldBefore = 'who is cut off longer than the lifetime is told before the rival is admitted';
const idle = 'what is held idle for three lifetimes stays held, and a member that stays is never reported gone';
const unreachable = 'a store that is not reached is named by its address, and its password by nobody';
const closedWhileHolding = 'close while holding and waiting leaves nothing behind, without waiting for any expiry';
const storeEnds = 'a session that the store ends is told to be lost by it, not first at the deadline';

/** What is said of a store, of the context it is opened in, and of how a session begins, goes on, and ends. */
export const sessionMutants: readonly Mutant[] = [
  {
    rule: 'For messages: host and port',
    how: 'has no address',
    alter: above((adapter) => ({ ...adapter, address: '' })),
    caughtBy: [unreachable],
  },
  {
    rule: 'never the password',
    how: 'tells its password with the address',
    alter: above((adapter) => ({ ...adapter, address: 'user:not-to-be-told@here' })),
    caughtBy: [unreachable],
  },
  {
    rule: 'keeps its link up (reconnecting by itself)',
    how: 'never connects again',
    alter: above(
      inSession(({ link$ }) => {
        let wasCut = false;
        return {
          link$: link$.pipe(
            tap((up) => {
              wasCut ||= !up;
            }),
            map((up) => up && !wasCut),
          ),
        };
      }),
    ),
    caughtBy: ['a broken connection that can be made again loses nothing'],
  },
  {
    rule: 'until unsubscribed, which cuts the link at once',
    how: 'stays connected',
    alter: above((adapter) => ({
      ...adapter,
      open: (context) =>
        new Observable((subscriber) => {
          adapter.open(context).subscribe(subscriber.next.bind(subscriber));
        }),
    })),
    caughtBy: ['close while holding and cut off returns within its bound, and leaves nothing after the lifetime'],
  },
  {
    rule: '`Unavailable` is tried again by the kernel, with back-off',
    how: 'fails for good when the store is away',
    alter: above((adapter) => ({
      ...adapter,
      open: (context) =>
        adapter.open(context).pipe(erring((error) => (error instanceof Unavailable ? new Error('away') : error))),
    })),
    caughtBy: ['a store that is not there yet is waited for'],
  },
  {
    rule: 'timing',
    how: 'asks for three times the lifetime',
    alter: above((adapter) => ({
      ...adapter,
      open: (context) => {
        const { timing } = context;
        return adapter
          .open({ ...context, timing: { ...timing, ttlMs: 3 * timing.ttlMs } })
          .pipe(map((session) => ({ ...session, ttlMs: timing.ttlMs })));
      },
    })),
    caughtBy: ['the lock of a crashed holder passes on within its lifetime and a second'],
  },
  {
    rule: 'Monotonic milliseconds: the clock of `provedMs` and `renew`',
    how: 'goes by the time of day',
    alter: above(inContext(() => ({ now: () => Date.now() }))),
    caughtBy: [toldBefore],
  },
  {
    rule: 'For everything in an adapter that waits',
    how: 'waits by timers of its own',
    alter: above(inContext(() => ({ scheduler: asyncScheduler }))),
    caughtBy: ['time is that of the scheduler that was given'],
  },
  {
    rule: 'Reports what went wrong without ending anything',
    how: 'tells its faults to nobody',
    alter: above(inContext(() => ({ fault: () => undefined }))),
    caughtBy: ['what the store refuses for long is told on faults$, and ends nothing'],
  },
  {
    rule: '32 hexadecimal digits, unique',
    how: 'gives every session one id',
    alter: above(inContext(() => ({ newId: () => 'f'.repeat(32) }))),
    caughtBy: ['two sessions are never one'],
  },
  {
    rule: 'The lifetime the server granted',
    how: 'says twice as long as it is',
    alter: above(inSession(({ ttlMs }) => ({ ttlMs: 2 * ttlMs }))),
    caughtBy: [toldBefore],
  },
  {
    rule: 'When the request that made the session was SENT: the first proof',
    how: 'says when it was answered',
    alter: above(inSession((_, context) => ({ provedMs: context.now() }))),
    caughtBy: ['opening a session proves when that was sent, not when its answer came'],
  },
  {
    rule: 'Whether the link is up',
    how: 'says that it always is',
    alter: above(inSession(({ link$ }) => ({ link$: link$.pipe(map(() => true)) }))),
    caughtBy: ['a connection that breaks is told of at once, not first by a renewal'],
  },
  {
    rule: 'the current state first',
    how: 'tells changes only',
    alter: above(inSession(({ link$ }) => ({ link$: link$.pipe(mergeMap((up, at) => (at === 0 ? [] : [up]))) }))),
    caughtBy: ['two subscriptions of one process do not share a lock'],
  },
  {
    rule: 'Errors with `SessionLost` when the store has ended the session',
    how: 'says nothing of it, by its link or by any operation',
    alter: above(
      inSession((session) => ({
        ...everywhere(session, () => erring(asPassing)),
        link$: session.link$.pipe(catchError(() => NEVER)),
      })),
    ),
    caughtBy: [storeEnds],
  },
  {
    rule: '`SessionLost` tells that the store has ended the session',
    how: 'says of it that the session is over, but not that the store has ended it',
    alter: above(
      inSession((session) => {
        const vague = (error: unknown): unknown =>
          error instanceof SessionLost ? new SessionLost(error.sessionId, error.reason, false) : error;
        return { ...everywhere(session, () => erring(vague)), link$: session.link$.pipe(erring(vague)) };
      }),
    ),
    caughtBy: [storeEnds],
  },
  {
    rule: 'Sends one renewal',
    how: 'renews nothing, and says that it has',
    alter: above(inSession((_, context) => ({ renew: () => of(context.now()) }))),
    caughtBy: [idle],
  },
  {
    rule: 'Emits the send time of what is now proved',
    how: 'emits when the answer came',
    alter: above(inSession((session, context) => ({ renew: () => session.renew().pipe(map(() => context.now())) }))),
    caughtBy: ['a renewal proves when it was sent, not when its answer came'],
  },
  {
    rule: 'if anything newly is',
    how: 'takes what was not answered for proved',
    alter: above(
      inSession((session, context) => ({ renew: () => session.renew().pipe(catchError(() => of(context.now()))) })),
    ),
    caughtBy: [toldBefore],
  },
  {
    rule: 'completes.',
    how: 'does not, so that it is the only renewal',
    alter: above(inSession((session) => ({ renew: () => session.renew().pipe(concatWith(NEVER)) }))),
    caughtBy: [idle],
  },
  {
    rule: 'everything that stands in this session leaves',
    how: 'leaves it to the expiry',
    alter: above(inSession(() => ({ end: () => of(undefined) }))),
    caughtBy: [closedWhileHolding],
  },
  {
    rule: 'Completes when the store has it',
    how: 'completes before',
    alter: above(
      inSession((session) => ({
        end: (isLost) => {
          setTimeout(() => session.end(isLost).subscribe(), 300);
          return of(undefined);
        },
      })),
    ),
    caughtBy: [closedWhileHolding],
  },
  {
    rule: '`isLost`: it was given up here already, and nothing may be sent that would prolong it',
    how: 'renews once more what is lost',
    alter: above(
      inSession((session) => ({
        end: (isLost) => (isLost ? session.renew().pipe(map(() => undefined)) : session.end(false)),
      })),
    ),
    caughtBy: ['who gives up what the store still keeps frees it at once, and prolongs nothing'],
  },
  {
    rule: 'the session ends',
    how: 'ends nothing that was lost here',
    alter: above(inSession((session) => ({ end: (isLost) => (isLost ? of(undefined) : session.end(false)) }))),
    caughtBy: ['who gives up what the store still keeps frees it at once, and prolongs nothing'],
  },
];
