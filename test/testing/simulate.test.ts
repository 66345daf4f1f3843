import { campaign, join, leadership, lock, members, status, whileLeader, withLock } from 'conclave';
import {
  asReadable,
  type Cluster,
  crash,
  delay,
  deploy,
  expireSession,
  heal,
  jumpClock,
  loseReply,
  partition,
  pause,
  record,
  restartStore,
  simulate,
  UnknownProcess,
} from 'conclave/testing';
import { isSome } from 'fp-ts/lib/Option.js';
import {
  asyncScheduler,
  interval,
  lastValueFrom,
  map,
  observeOn,
  Subject,
  timer,
  toArray,
  VirtualTimeScheduler,
} from 'rxjs';
import { describe, expect, it } from 'vitest';

const leads = { f: false, t: true };

/** A leads; b would. */
function twoCandidates(options: Parameters<typeof simulate>[0] = {}) {
  const cluster = simulate(options);
  const [a, b] = ['a', 'b'].map((name) => record(leadership(cluster.backend(name), 'e'), cluster));
  return { cluster, a: a as NonNullable<typeof a>, b: b as NonNullable<typeof b> };
}

describe('simulate', () => {
  it('elects, over the kernel that every backend has', () => {
    const { cluster, a, b } = twoCandidates();
    cluster.pass(60_000);
    a.toBe('(ft)', leads);
    b.toBe('f', leads);
  });

  it('partition: the leader is told before the follower takes over', () => {
    const { cluster, a, b } = twoCandidates();
    cluster.at(3_000, () => cluster.partition('a', 20_000));
    cluster.pass(60_000);
    // Proved at 2 s: given up 9.4 s after that, expired by the store 10 s after it.
    a.toBe('(ft) 11396ms f', leads);
    b.toBe('f 11999ms t', leads);
  });

  it('partition: shorter than the deadline costs nothing', () => {
    const { cluster, a } = twoCandidates();
    cluster.at(3_000, () => cluster.partition('a', 5_000));
    cluster.pass(60_000);
    a.toBe('(ft)', leads);
  });

  it('heal ends a partition before its time', () => {
    const { cluster, a } = twoCandidates();
    cluster.at(3_000, () => cluster.partition('a'));
    cluster.at(7_000, () => cluster.heal('a'));
    cluster.pass(60_000);
    a.toBe('(ft)', leads);
  });

  it('heal leaves nothing of a partition whose time has not come', () => {
    const { cluster, a } = twoCandidates();
    cluster.partition('a', 5_000);
    cluster.heal('a');
    cluster.partition('a', 60_000);
    cluster.pass(30_000);
    a.toBe('(ft) 9396ms f', leads);
  });

  it('pause: nothing of the process runs, and it sees the loss before one more item', () => {
    const { cluster } = twoCandidates();
    const jobs: number[] = [];
    cluster.run('a', () =>
      interval(1_000)
        .pipe(whileLeader(leadership(cluster.backend('a'), 'jobs')))
        .subscribe(() => jobs.push(cluster.now())),
    );
    cluster.at(3_500, () => cluster.pause('a', 15_000));
    cluster.pass(17_000);
    expect(jobs).toEqual([1_000, 2_000, 3_000]);
    cluster.pass(1_500);
    expect(jobs, 'the timer that was due has been dropped').toEqual([1_000, 2_000, 3_000]);
    cluster.pass(3_000);
    expect(jobs.length).toBeGreaterThan(3);
    expect(Math.min(...jobs.slice(3))).toBeGreaterThan(18_500);
  });

  it('pause: what has arrived runs before what is due, and a paused process believes what it knew', () => {
    const { cluster, a, b } = twoCandidates();
    const seen: boolean[] = [];
    lock(cluster.backend('a'), 'l').subscribe({
      next: (grant) => cluster.at(14_000, () => seen.push(grant.isValid())),
      error: () => undefined,
    });
    cluster.at(3_000, () => cluster.pause('a', 15_000));
    cluster.pass(60_000);
    expect(seen).toEqual([true]);
    a.toBe('(ft) 17996ms f', leads);
    b.toBe('f 11999ms t', leads);
    expect(cluster.isRunning('a')).toBe(true);
  });

  it('pause: items from outside wait where they are brought into the process', () => {
    const cluster = simulate();
    const backend = cluster.backend('a');
    const source = new Subject<string>();
    const seen: string[] = [];
    source.pipe(observeOn(backend.scheduler)).subscribe((item) => seen.push(`${item} ${cluster.now()}`));
    cluster.at(100, () => cluster.pause('a', 1_000));
    cluster.at(500, () => source.next('x'));
    cluster.pass(2_000);
    expect(seen).toEqual(['x 1100']);
  });

  it('expireSession: the owner is told, and takes part again', () => {
    const { cluster, a, b } = twoCandidates();
    cluster.at(5_000, () => cluster.expireSession('a'));
    cluster.pass(60_000);
    a.toBe('(ft) 4996ms f', leads);
    b.toBe('f 4999ms t', leads);
  });

  it('crash: the other one takes over after the ttl, nothing of it is heard again, and it can be started anew', () => {
    const { cluster, a, b } = twoCandidates();
    cluster.at(5_000, () => cluster.crash('a'));
    cluster.pass(60_000);
    a.toBe('(ft)', leads);
    b.toBe('f 13999ms t', leads);
    expect(cluster.isRunning('a')).toBe(false);
    const restarted = record(leadership(cluster.backend('a'), 'e'), cluster);
    cluster.crash('b');
    cluster.pass(20_000);
    expect(restarted.happenings.map(({ value }) => value)).toEqual([false, true]);
  });

  it('deploy: the other one takes over at once, nothing of it is heard again, and it can be started anew', () => {
    const { cluster, a, b } = twoCandidates({ latencyMs: 5 });
    cluster.at(5_000, () => cluster.deploy('a'));
    cluster.at(6_000, () => expect(cluster.isRunning('a')).toBe(false));
    cluster.pass(60_000);
    a.toBe('f 19ms t 4979ms (f|)', leads);
    b.toBe('f 5009ms t', leads);
    const restarted = record(leadership(cluster.backend('a'), 'e'), cluster);
    cluster.deploy('b', 20_000);
    cluster.pass(1_000);
    expect(restarted.happenings.map(({ value }) => value)).toEqual([false, true]);
  });

  it('deploy: work in progress is done before, for drainMs at most, and only then the process ends', () => {
    const cluster = simulate({ latencyMs: 5, ttlMs: 2_000 });
    const done: string[] = [];
    const work = (name: string, ms: number, then: string): void => {
      const backend = cluster.backend(name);
      cluster.run(name, () =>
        withLock(backend, then, ({ signal }) =>
          timer(ms).pipe(map(() => `${cluster.now()} ${then} ${signal.aborted}`)),
        ).subscribe((what) => done.push(what)),
      );
    };
    work('a', 6_000, 'job');
    cluster.pass(100);
    work('b', 0, 'job');
    work('c', 60_000, 'endless');
    cluster.pass(400);
    cluster.deploy('a', 20_000);
    cluster.deploy('c', 20_000);
    cluster.pass(5_400);
    expect([done, cluster.isRunning('a'), cluster.isRunning('c')]).toEqual([[], true, true]);
    cluster.pass(200);
    expect([done, cluster.isRunning('a')]).toEqual([['6020 job false', '6030 job false'], false]);
    cluster.pass(14_300);
    expect(cluster.isRunning('c')).toBe(true);
    cluster.pass(300);
    expect([done.length, cluster.isRunning('c')]).toEqual([2, false]);
    expect(cluster.history.filter((line) => line.includes('deploy'))).toEqual([
      "500 - deploy('a', 20000)",
      "500 - deploy('c', 20000)",
    ]);
  });

  it('deploy: a process that is stopped finds the signal when it runs again, one that has crashed never', () => {
    const { cluster, a } = twoCandidates();
    cluster.pause('a', 3_000);
    cluster.deploy('a');
    cluster.crash('b');
    cluster.deploy('b');
    cluster.pass(2_999);
    a.toBe('(ft)', leads);
    cluster.pass(1);
    a.toBe('(ft) 2996ms (f|)', leads);
  });

  it('restartStore: with its data, everybody keeps what they held', () => {
    const { cluster, a, b } = twoCandidates();
    cluster.at(5_000, () => cluster.restartStore({ keepData: true, forMs: 2_000 }));
    cluster.pass(60_000);
    a.toBe('(ft)', leads);
    b.toBe('f', leads);
  });

  it('restartStore: without its data nobody is admitted until everybody has given up, and tokens grow', () => {
    const cluster = simulate({ latencyMs: 5 });
    const tokens: bigint[] = [];
    const holding = new Set<string>();
    const overlaps: string[] = [];
    for (const name of ['a', 'b'])
      campaign(cluster.backend(name), 'e').subscribe((grant) => {
        if (isSome(grant)) {
          tokens.push(grant.value.token);
          holding.add(name);
        } else holding.delete(name);
        if (holding.size > 1) overlaps.push(`${cluster.now()}`);
      });
    cluster.at(5_000, () => cluster.partition('a', 4_000));
    cluster.at(5_500, () => cluster.restartStore({ keepData: false }));
    cluster.pass(60_000);
    expect(overlaps).toEqual([]);
    expect(tokens).toHaveLength(2);
    expect(tokens).toEqual([...tokens].sort((x, y) => Number(x - y)));
  });

  it('loseReply: an entry whose reply was lost stands in line once', () => {
    const cluster = simulate();
    const [a, b] = [cluster.backend('a'), cluster.backend('b')];
    cluster.loseReply('a', 'enter');
    const ids = record(members(b, 'g').pipe(asReadable()), cluster);
    join(a, 'g', { id: 'w1', create: true }).subscribe();
    cluster.pass(30_000);
    expect(cluster.history.filter((line) => line.includes('a enter'))).toContain('0 a enter, reply lost');
    expect(ids.happenings.map(({ value }) => value)).toEqual(['{}', '{w1}']);
  });

  it('loseReply: a release whose reply was lost has released', () => {
    const cluster = simulate();
    const held = lock(cluster.backend('a'), 'l').subscribe();
    const next = record(lock(cluster.backend('b'), 'l').pipe(asReadable()), cluster);
    cluster.at(1_000, () => {
      cluster.loseReply('a', 'leave');
      held.unsubscribe();
    });
    cluster.pass(30_000);
    expect(next.happenings.map(({ atMs }) => atMs)).toEqual([1_000]);
  });

  it('loseReply: a renewal whose reply was lost proves nothing', () => {
    const { cluster, a } = twoCandidates();
    const states = record(status(cluster.backend('a')).pipe(map(({ state }) => state)), cluster);
    cluster.loseReply('a', 'renew');
    cluster.pass(30_000);
    a.toBe('(ft)', leads);
    // Sent at 2 s, given up after 3 s; the next one is proved.
    expect(states.happenings.map(({ atMs, value }) => `${atMs} ${value}`)).toEqual([
      '0 live',
      '5000 suspended',
      '5400 live',
    ]);
  });

  it('delay: messages take longer, and keep their order', () => {
    const cluster = simulate({ latencyMs: 5 });
    const backend = cluster.backend('a');
    const held = record(lock(backend, 'l').pipe(asReadable()), cluster);
    cluster.pass(100);
    cluster.delay('a', 50, 1_000);
    const delayed = record(lock(backend, 'm').pipe(asReadable()), cluster);
    cluster.pass(2_000);
    const after = record(lock(backend, 'n').pipe(asReadable()), cluster);
    cluster.pass(1_000);
    expect([held, delayed, after].map(({ happenings }) => happenings.map(({ atMs }) => atMs))).toEqual([
      [20],
      [210],
      [2_110],
    ]);
  });

  it('jumpClock: forward counts as a suspension of the machine; back costs nothing', () => {
    const forward = twoCandidates();
    forward.cluster.at(5_000, () => forward.cluster.jumpClock('a', 3_600_000));
    forward.cluster.pass(30_000);
    expect(forward.a.happenings.slice(0, 3).map(({ value }) => value)).toEqual([false, true, false]);
    expect(forward.a.happenings[2]?.atMs).toBe(6_000);
    const back = twoCandidates();
    back.cluster.at(5_000, () => back.cluster.jumpClock('a', -3_600_000));
    back.cluster.pass(30_000);
    back.a.toBe('(ft)', leads);
  });

  it('faults: scripted by marbles', () => {
    const { cluster, a } = twoCandidates();
    cluster.faults('3s p 999ms h 1s (dr)', {
      p: partition('a'),
      h: heal('a'),
      d: delay('b', 10),
      r: restartStore({ keepData: true }),
    });
    cluster.pass(60_000);
    a.toBe('(ft)', leads);
    expect(cluster.history.filter((line) => line.includes(' - '))).toEqual([
      "3000 - partition('a')",
      "4000 - heal('a')",
      "5001 - delay('b', 10)",
      '5001 - restartStore({ keepData: true, forMs: 100 })',
    ]);
    expect(() => cluster.faults('x', {})).toThrow(/'x'/);
  });

  it('names the processes that there are when a fault is of another one', () => {
    const { cluster } = twoCandidates();
    expect(() => cluster.partition('c')).toThrow(/no process "c".*a, b/);
    for (const fault of [
      partition('c'),
      heal('c'),
      pause('c', 1),
      crash('c'),
      deploy('c'),
      expireSession('c'),
      delay('c', 1),
    ])
      expect(() => cluster.apply(fault)).toThrow(UnknownProcess);
    expect(() => simulate({ seed: 1.5, latencyMs: [5, 1], ttlMs: 0 })).toThrow(/seed.*latencyMs.*ttlMs/s);
  });

  it('refuses faults that could not happen, and time that could not pass', async () => {
    const { cluster } = twoCandidates();
    const impossible: [() => unknown, RegExp][] = [
      [() => partition(undefined as never), /process must be a string/],
      [() => partition('a', Number.NaN), /forMs .* NaN/],
      [() => pause('a', undefined as never), /forMs .* undefined/],
      [() => deploy('a', -1), /drainMs .* -1/],
      [() => cluster.pause('a', -1), /forMs .* -1/],
      [() => delay('a', '5' as never), /ms .* "5"/],
      [() => jumpClock('a', Number.POSITIVE_INFINITY), /byMs .* Infinity/],
      [() => loseReply('a', 'renews' as never), /of must be enter, leave, renew/],
      [() => restartStore({} as never), /keepData/],
      [() => restartStore(undefined as never), /options/],
      [() => cluster.apply({ kind: 'quake' } as never), /kind must be one of partition/],
      [() => cluster.faults('p', { p: 'partition' as never }), /an object/],
      [() => cluster.faults(undefined as never, {}), /Marbles are a string/],
      [() => cluster.pass(Number.NaN), /ms .* NaN/],
      [() => cluster.pass(-1), /ms .* -1/],
      [() => cluster.at(-1, () => undefined), /ms .* -1/],
      [() => cluster.backend(undefined as never), /name/],
    ];
    for (const [act, words] of impossible) expect(act, String(act)).toThrow(words);
    await expect(cluster.passWithPromises(Number.NaN)).rejects.toThrow(/NaN/);
    expect(cluster.now()).toBe(0);
    expect(cluster.history.filter((line) => line.includes(' - '))).toEqual([]);
  });

  it('two faults at once: neither undoes more of the other than it says', () => {
    const { cluster, a, b } = twoCandidates();
    // A shorter partition, and healing the other one, end no partition that is under way.
    cluster.at(3_000, () => cluster.partition('a', 20_000));
    cluster.at(4_000, () => cluster.partition('a', 1_000));
    cluster.at(5_000, () => cluster.heal('b'));
    // Paused within it, and crashed while paused: never heard of again.
    cluster.at(5_500, () => cluster.pause('a', 30_000));
    cluster.at(6_000, () => cluster.expireSession('a'));
    cluster.at(7_000, () => cluster.expireSession('a'));
    cluster.at(8_000, () => cluster.crash('a'));
    cluster.at(9_000, () => cluster.pause('a', 1_000));
    cluster.pass(60_000);
    a.toBe('(ft)', leads);
    b.toBe('f 5999ms t', leads);
    expect(cluster.isRunning('a')).toBe(false);
  });

  it('a pause belongs to the process that was paused, not to the one started after it crashed', () => {
    const { cluster } = twoCandidates();
    cluster.pause('a', 2_000);
    cluster.crash('a');
    cluster.backend('a');
    cluster.at(1_000, () => cluster.pause('a', 3_000));
    cluster.pass(2_500);
    expect(cluster.isRunning('a')).toBe(false);
    cluster.pass(2_000);
    expect(cluster.isRunning('a')).toBe(true);
  });

  it('runs nothing as a process that has crashed', () => {
    const { cluster } = twoCandidates();
    cluster.crash('a');
    expect(() => cluster.run('a', () => expect.unreachable())).toThrow(/"a" has crashed/);
    cluster.backend('a');
    expect(cluster.run('a', () => 1)).toBe(1);
  });

  it('gives the timers of RxJS back, whatever is thrown', () => {
    const { schedule, now } = asyncScheduler;
    const fail = (): never => {
      throw new Error('of the user');
    };
    const { cluster } = twoCandidates();
    expect(() => cluster.run('a', fail)).toThrow('of the user');
    cluster.at(1, fail);
    expect(() => cluster.pass(5)).toThrow('of the user');
    expect(asyncScheduler.schedule).toBe(schedule);
    expect(asyncScheduler.now).toBe(now);
  });

  it('settles promises of guarded work, as time goes by', async () => {
    const cluster = simulate({ latencyMs: 5 });
    const done: string[] = [];
    for (const name of ['a', 'b'])
      withLock(cluster.backend(name), 'l', async () => {
        done.push(`${name} begins`);
        await Promise.resolve();
        done.push(`${name} ends`);
      }).subscribe();
    await cluster.passWithPromises(1_000);
    expect(done).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  });

  it('takes time from the scheduler that it is given', () => {
    const scheduler = new VirtualTimeScheduler();
    const { cluster, a } = twoCandidates({ scheduler });
    cluster.at(1_000, () => cluster.partition('a'));
    scheduler.maxFrames = 20_000;
    scheduler.flush();
    a.toBe('(ft) 9396ms f', leads);
    expect(() => cluster.pass(1)).toThrow(/scheduler/);
  });

  it('closes every backend, and heals what stands in the way', async () => {
    const cluster = simulate({ latencyMs: 5 });
    const all = lastValueFrom(leadership(cluster.backend('a'), 'e').pipe(toArray()));
    cluster.pass(1_000);
    cluster.partition('a');
    const closed = cluster.close();
    await cluster.passWithPromises(10_000);
    await closed;
    await expect(all).resolves.toEqual([false, true, false]);
  });

  it('starts nothing in real time', () => {
    const cluster: Cluster = simulate();
    let ticks = 0;
    cluster.backend('a');
    cluster.run('a', () => interval(1).subscribe(() => ticks++));
    cluster.pass(5);
    expect(ticks).toBe(5);
    cluster.crash('a');
    cluster.pass(5);
    expect(ticks).toBe(5);
  });
});
