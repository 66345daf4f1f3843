import { connect } from 'node:net';
import { Observable, type SchedulerLike, Subscription, timer } from 'rxjs';
import { Unavailable } from '../errors.js';
import type { Server } from './raw-client.js';

/**
 * What a server says of itself; `undisclosed` where it answers something else, `unanswered` where it does not answer, or
 * says that it serves nobody now.
 */
export type Role = 'leader' | 'standalone' | 'follower' | 'observer' | 'undisclosed' | 'unanswered';

/** Asks by `srvr`, on a connection of its own. Always emits once. */
export function askRole({ host, port }: Server, limitMs: number, scheduler: SchedulerLike): Observable<Role> {
  return new Observable<Role>((subscriber) => {
    let answer = '';
    const socket = connect({ host, port });
    const done = (): void => {
      const [, mode] = /^Mode: (leader|standalone|follower|observer)$/m.exec(answer) ?? [];
      const isServing = answer !== '' && !/not currently serving|^Mode: read-only$/m.test(answer);
      subscriber.next(isServing ? ((mode ?? 'undisclosed') as Role) : 'unanswered');
      subscriber.complete();
    };
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write('srvr'));
    socket.on('data', (chunk) => {
      answer = `${answer}${chunk}`.slice(0, 10_000);
    });
    socket.on('error', () => undefined);
    socket.on('close', done);
    const limit = new Subscription(() => socket.destroy());
    limit.add(timer(limitMs, scheduler).subscribe(done));
    return limit;
  });
}

/** Who is alone has no followers, and stays alone. */
export function isAlone(role: Role): boolean {
  return role === 'standalone';
}

export function unanswered({ host, port }: Server): Unavailable {
  const cause = new Error(
    'no answer to srvr: it does not serve, or has as many connections from here as its maxClientCnxns lets it',
  );
  return new Unavailable({ name: 'zookeeper', address: `${host}:${port}` }, 'tell its role', cause);
}
