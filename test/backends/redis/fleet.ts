import { Redis } from 'ioredis';
import { ENTER, LOOK, OPEN, RENEW, type Script } from '../../../src/backends/redis/scripts.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import type { ShiftedClock } from '../../support/shifted-clock.js';
import { useBefore } from './support.js';

/** A session of a fleet. */
export interface Sailor {
  readonly id: string;
  readonly ttlMs: number;
  /** Whether it stands in line, and so asks when it was told to. */
  waits: boolean;
  isDead: boolean;
  /** When it renews next, and asks before that, by the clock of the server; and the latter by the shard's time. */
  renewsMs: number;
  asksMs: number;
  asksAtMs: number;
}

/** How many scripts were run. */
export interface Scripts {
  readonly renewals: number;
  readonly looks: number;
}

/**
 * Sessions of many processes that all wait for one lock, without the processes: their scripts, run on a real server whose
 * clock leaps from one that is due to the next. All that have died stay connected, as after a cable was cut.
 */
export class Fleet implements AsyncDisposable {
  readonly #tag: string;
  readonly #sailors: Sailor[] = [];
  #asked = 0;
  #renewals = 0;
  #looks = 0;
  #atMs = 0;
  /** When what was run last had been promised for, by the shard's time; of a renewal, when it was run. */
  promisedMs = 0;

  private constructor(
    private readonly redis: Redis,
    private readonly listener: Redis,
    private readonly clock: ShiftedClock,
    private readonly runId: string,
    namespace: string,
  ) {
    this.#tag = `{${namespace}:0}`;
  }

  static async start(server: TestServer, clock: ShiftedClock, namespace: string): Promise<Fleet> {
    await useBefore(server, namespace);
    const [redis, listener] = [0, 1].map(() => new Redis({ host: server.host, port: server.port, protocol: 2 }));
    if (redis === undefined || listener === undefined) throw new Error('there are two');
    const runId = /run_id:(\w+)/.exec(await redis.info('server'))?.[1] ?? '';
    return new Fleet(redis, listener, clock, runId, namespace);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.redis.disconnect();
    this.listener.disconnect();
  }

  /** The shard's time after the last script, which does not run ahead of the server's clock, but may lose some of it. */
  get atMs(): number {
    return this.#atMs;
  }

  get nowMs(): number {
    return Date.now() + this.clock.aheadMs;
  }

  get scripts(): Scripts {
    return { renewals: this.#renewals, looks: this.#looks };
  }

  /** One that has the lock, or waits for it if it is taken. The sessions of one ttl renew at even distances. */
  async join(ttlMs: number, { enters = true, phase = 0 } = {}): Promise<Sailor> {
    const id = `s${this.#sailors.length}`;
    const sailor: Sailor = { id, ttlMs, waits: false, isDead: false, renewsMs: 0, asksMs: 0, asksAtMs: 0 };
    await this.listener.subscribe(`${this.#tag}:c:${id}`);
    await this.#run(sailor, OPEN);
    sailor.renewsMs = this.nowMs + (ttlMs / 5) * (1 - phase);
    this.#sailors.push(sailor);
    if (!enters) return sailor;
    const reply = await this.#run(sailor, ENTER, 'lock:line', `${id}.e.x1`, '', '', '', '');
    sailor.waits = Number(reply[5]) > 0;
    this.#told(sailor, reply);
    return sailor;
  }

  /** Those who have promised to ask, the soonest first. */
  async promised(): Promise<readonly Sailor[]> {
    const turns = (await this.redis.hget(`${this.#tag}:m`, 'turns')) ?? '';
    const ids = turns.split(' ').map((turn) => turn.split(':')[0]);
    return ids.flatMap((id) => this.#sailors.filter((sailor) => sailor.id === id));
  }

  /** When its lease ends, by the shard's time; `undefined` if it was removed. */
  async endsMs({ id }: Sailor): Promise<number | undefined> {
    const score = await this.redis.zscore(`${this.#tag}:s`, id);
    return score === null ? undefined : Number(score) / 1_000;
  }

  /** Somebody else writes there. */
  async spoil(turns: string): Promise<void> {
    await this.redis.hset(`${this.#tag}:m`, 'turns', turns);
  }

  /** Lets `ms` of the server's clock pass, or less if `isOver` says so after a script. */
  async sail(ms: number, isOver: () => Promise<boolean> = async () => false): Promise<void> {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const due = this.#due();
      const dueMs = due === undefined ? Number.POSITIVE_INFINITY : Math.min(due.renewsMs, due.asksMs);
      this.clock.leap(Math.max(0, Math.ceil(Math.min(dueMs, untilMs) - this.nowMs)));
      if (due === undefined || dueMs > untilMs) return;
      await this.ask(due);
      if (await isOver()) return;
    }
  }

  /** Has it run what is due next. */
  async ask(sailor: Sailor): Promise<void> {
    const turn = sailor.waits ? '1' : '';
    if (sailor.asksMs < sailor.renewsMs) {
      this.#looks += 1;
      this.promisedMs = sailor.asksAtMs;
      this.#told(sailor, await this.#run(sailor, LOOK, turn));
      return;
    }
    this.#renewals += 1;
    sailor.renewsMs += sailor.ttlMs / 5;
    this.#told(sailor, await this.#run(sailor, RENEW, '0', '', turn));
    this.promisedMs = this.#atMs;
  }

  #due(): Sailor | undefined {
    let first: Sailor | undefined;
    let firstMs = Number.POSITIVE_INFINITY;
    for (const sailor of this.#sailors) {
      const dueMs = Math.min(sailor.renewsMs, sailor.asksMs);
      if (sailor.isDead || dueMs >= firstMs) continue;
      first = sailor;
      firstMs = dueMs;
    }
    return first;
  }

  #told(sailor: Sailor, reply: readonly unknown[]): void {
    if (reply[0] !== 'ok') throw new Error(`${sailor.id} was told ${reply.join(', ')}`);
    const told = String(reply[2]);
    const isAsking = told !== '' && sailor.waits;
    sailor.asksMs = isAsking ? this.nowMs + Number(told) + 1 : Number.POSITIVE_INFINITY;
    sailor.asksAtMs = this.#atMs + Number(told);
  }

  async #run({ id, ttlMs }: Sailor, { plain }: Script, ...own: readonly string[]): Promise<readonly unknown[]> {
    const preamble = [id, ttlMs * 1_000, 0, this.runId, 'inf', '', '0', '', 0].join(' ');
    const answer = await this.redis.eval(plain.lua, 1, `${this.#tag}:m`, ++this.#asked, preamble, ...own);
    const [, state, reply] = Array.isArray(answer) ? answer : [];
    if (!Array.isArray(reply)) throw new Error(`${id} was answered ${answer}`);
    this.#atMs = Number(String(state).split(' ')[0]) / 1_000;
    return reply;
  }
}
