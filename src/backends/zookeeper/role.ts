import { connect } from 'node:net';
import { Observable, type SchedulerLike, Subscription, timer } from 'rxjs';
import type { Server } from './raw-client.js';

/** What a server says of itself; `undisclosed` where it answers something else, `unanswered` where it does not answer. */
export type Role = 'leader' | 'standalone' | 'follower' | 'observer' | 'undisclosed' | 'unanswered';

/** Asks by `srvr`, on a connection of its own. Always emits once. */
export function askRole({ host, port }: Server, limitMs: number, scheduler: SchedulerLike): Observable<Role> {
  return new Observable<Role>((subscriber) => {
    let answer = '';
    const socket = connect({ host, port });
    const done = (): void => {
      const [, mode] = /^Mode: (leader|standalone|follower|observer)$/m.exec(answer) ?? [];
      subscriber.next(answer === '' ? 'unanswered' : ((mode ?? 'undisclosed') as Role));
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
