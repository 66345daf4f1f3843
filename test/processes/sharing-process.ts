import { defer, type Observable, repeat, retry, switchMap, timer } from 'rxjs';
import { connect } from '../../src/connect.js';
import { type Grant, lockAll, readLock, semaphore, writeLock } from '../../src/index.js';
import { answer, tell } from '../../src/testing/processes/client-side.js';

/** What a process takes, again and again. */
export interface Sharing {
  readonly url: string;
  readonly namespace: string;
  readonly ttlMs: number;
  readonly takes: 'permit' | 'read or write' | 'opposite locks';
  /** Told apart by it, and what is drawn at random begins with it. */
  readonly number: number;
  /** How often; as long as it lives where it is left out. */
  readonly rounds?: number;
}

/** What it tells, by the clock that all processes of a machine share. */
export type FromSharing =
  | {
      readonly what: 'asks' | 'holds' | 'lets go' | 'lost';
      readonly how: 'alone' | 'beside others';
      readonly atNs: bigint;
    }
  | { readonly what: 'done' };

const {
  url,
  namespace,
  ttlMs,
  takes,
  number,
  rounds = Number.POSITIVE_INFINITY,
}: Sharing = JSON.parse(process.argv[2] ?? '');
const backend = connect(url, { namespace, ttlMs });

let state = number * 2_654_435_761;
const random = (): number => {
  state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
  return state / 2 ** 32;
};

const send = (message: FromSharing): void => tell(message);

const LOCKS = ['a', 'b', 'c'];
const isValid = ({ isValid }: Pick<Grant, 'isValid'>): boolean => isValid();

/** Takes it once, for a while. */
const round$ = defer(() => {
  const alone = takes === 'opposite locks' || (takes === 'read or write' && random() < 0.25);
  const how = alone ? 'alone' : 'beside others';
  const say = (what: 'asks' | 'holds' | 'lets go' | 'lost'): void => send({ what, how, atNs: process.hrtime.bigint() });
  const held$: Observable<Pick<Grant, 'isValid' | 'release'>> =
    takes === 'permit'
      ? semaphore(backend, 'shared', 3)
      : takes === 'opposite locks'
        ? lockAll(backend, number % 2 === 0 ? LOCKS : LOCKS.toReversed())
        : alone
          ? writeLock(backend, 'shared')
          : readLock(backend, 'shared');
  say('asks');
  return new Promise<void>((over, lost) => {
    const holding = held$
      .pipe(
        switchMap((grant) => {
          say('holds');
          return timer(takes === 'opposite locks' ? 0 : 5 + random() * 30).pipe(switchMap(() => [isValid(grant)]));
        }),
      )
      .subscribe({
        next: (isHeld) => {
          // Told before it is given up: what is told as held was held.
          say(isHeld ? 'lets go' : 'lost');
          holding.unsubscribe();
          over();
        },
        error: (error) => {
          say('lost');
          lost(error);
        },
      });
  });
});

round$
  .pipe(retry({ delay: 0 }), repeat({ count: rounds, delay: () => timer(random() * 10) }))
  .subscribe({ complete: () => send({ what: 'done' }) });
answer({});
