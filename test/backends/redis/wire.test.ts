import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Client, type ClientEvents, Unanswered, type Wire, wireOver } from '../../../src/backends/redis/wire.js';
import { timingOf } from '../../../src/backends/shared/options.js';
import { orThrow } from '../../../src/backends/shared/or-throw.js';

const timing = orThrow(timingOf({ ttlMs: 3_000, requestTimeoutMs: 500 }));

/** What is told of a connection, in order, and the replies to come. */
interface Stage {
  readonly log: string[];
  readonly replies: { answer(reply: unknown): void; refuse(cause: unknown): void }[];
  readonly events: ClientEvents;
  readonly wire: Wire;
  ask(name: string): void;
}

function connected(): Stage {
  const log: string[] = [];
  const replies: Stage['replies'] = [];
  let events: ClientEvents | undefined;
  let wire: Wire | undefined;
  const client: Client = {
    send: () => new Promise((answer, refuse) => replies.push({ answer, refuse })),
    subscribe: () => Promise.resolve(),
    unsubscribe: () => Promise.resolve(),
    close: () => log.push('closed'),
  };
  wireOver({ timing, isSharded: false }, (told) => {
    events = told;
    return client;
  }).subscribe({
    next: (made) => {
      wire = made;
    },
    error: (cause) => log.push(`ended: ${cause}`),
  });
  events?.connected();
  events?.ready();
  if (events === undefined || wire === undefined) throw new Error('no connection was made');
  const made = wire;
  return {
    log,
    replies,
    events,
    wire,
    ask: (name) =>
      made.ask(
        [name],
        (reply) => log.push(`${name}: ${reply}`),
        (cause) => log.push(`${name} failed: ${cause instanceof Unanswered ? 'unanswered' : cause}`),
      ),
  };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

it('tells that the connection has ended before it fails what is under way', async () => {
  const { log, events, ask } = connected();
  ask('first');
  ask('second');
  events.ended('cut');
  expect(log).toEqual(['ended: cut', 'closed']);
  await vi.advanceTimersByTimeAsync(0);
  expect(log).toEqual(['ended: cut', 'closed', 'first failed: cut', 'second failed: cut']);
});

it('fails what is asked after its end, and never before the call has returned', async () => {
  const { log, events, replies, ask } = connected();
  events.ended('cut');
  ask('late');
  expect(log).not.toContain('late failed: cut');
  await vi.advanceTimersByTimeAsync(0);
  expect(log).toContain('late failed: cut');
  expect(replies).toEqual([]);
});

it('has no second word for what was given up: not when the answer comes, and not when the connection ends', async () => {
  const { log, events, replies, ask } = connected();
  ask('slow');
  await vi.advanceTimersByTimeAsync(timing.requestTimeoutMs);
  expect(log).toEqual(['slow failed: unanswered']);
  replies[0]?.answer('after all');
  await vi.advanceTimersByTimeAsync(0);
  events.ended('cut');
  await vi.advanceTimersByTimeAsync(0);
  expect(log).toEqual(['slow failed: unanswered', 'ended: cut', 'closed']);
});

it('waits for no answer that has come', async () => {
  const { log, replies, ask } = connected();
  ask('quick');
  replies[0]?.answer('done');
  await vi.advanceTimersByTimeAsync(0);
  expect(vi.getTimerCount()).toBe(0);
  expect(log).toEqual(['quick: done']);
});
