import { holders, LockLost, leader, leadership, lock, memberMap, members, type Session } from 'conclave';
import { firstValueFrom, lastValueFrom, type Observable } from 'rxjs';
import { expect } from 'vitest';
import { bytes, consistsOf, type Suite } from './stage.js';

const leads = (value: boolean): boolean => value;
const is =
  (state: Session['state']) =>
  (session: Session): boolean =>
    session.state === state;

export function sessionCases({ hazard }: Suite): void {
  hazard('the session tells its state, the current one first, and completes when closed', async (stage) => {
    const backend = stage.backend();
    const states = stage.probe(backend.session$);
    const live = await states.now(is('live'), 'a live session');
    expect(await firstValueFrom(backend.session$)).toEqual(live);
    await backend.close();
    await states.completion('the session after close');
    expect(states.values.filter(is('live'))).toHaveLength(1);
  });

  hazard(
    'what is held idle for three lifetimes stays held, and a member that stays is never reported gone',
    async (stage) => {
      const backend = stage.backend();
      const { grant, held } = await stage.hold(backend, 'ledger');
      const leading = stage.probe(leadership(backend, 'chief'));
      await stage.join(backend, 'crew', { id: 'a', create: true });
      const sets = stage.probe(members(stage.watcher, 'crew'));
      const states = stage.probe(backend.session$);
      const rival = stage.probe(lock(stage.backend(), 'ledger'));
      await stage.inLine('ledger', 2);
      await passes(3 * stage.options.ttlMs);
      expect(states.values.flatMap((state) => (state.state === 'lost' ? [state.cause.message] : []))).toEqual([]);
      expect([grant.isValid(), held.hasEnded, rival.values.length]).toEqual([true, false, 0]);
      expect(leading.values).toEqual([false, true]);
      expect(sets.values).toEqual([new Set(['a'])]);
      expect(states.values.filter(is('lost'))).toEqual([]);
    },
  );

  hazard('a link that is cut for less than the deadline loses nothing', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    const { grant, held } = await stage.hold(backend, 'ledger');
    const leading = stage.probe(leadership(backend, 'chief'));
    await leading.now(leads, 'the leadership');
    const rival = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    const states = stage.probe(backend.session$);
    await states.now(is('live'), 'the live session');
    link.cut();
    await states.now(is('suspended'), 'the suspended session');
    expect([grant.isValid(), held.hasEnded]).toEqual([true, false]);
    await link.heal();
    await states.now(is('live'), 'the session alive again');
    expect(states.values.map(({ state }) => state)).toEqual(['live', 'suspended', 'live']);
    expect([grant.isValid(), held.hasEnded, rival.values.length]).toEqual([true, false, 0]);
    expect(leading.values).toEqual([false, true]);
    held.unsubscribe();
    await rival.first('the lock for the rival', stage.promptMs);
  });

  hazard('a broken connection that can be made again loses nothing', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    const { grant, held } = await stage.hold(backend, 'ledger');
    const states = stage.probe(backend.session$);
    const line = stage.line('ledger', 'lock', backend);
    await line.now(({ length }) => length === 1, 'the holder in line');
    const rival = stage.probe(lock(stage.backend(), 'ledger'));
    await line.now(({ length }) => length === 2, 'the rival in line');
    await link.reset();
    rival.unsubscribe();
    await line.now(({ length }) => length === 1, 'the line without the rival, seen over the new connection');
    await states.now(is('live'), 'the session alive again');
    expect(states.values.filter(is('lost'))).toEqual([]);
    expect([grant.isValid(), held.hasEnded]).toEqual([true, false]);
    expect(line.values.every(({ length }) => length > 0)).toBe(true);
  });

  hazard(
    'what has not changed while the connection was broken is not told again, and what changes then is',
    async (stage) => {
      const link = await stage.link();
      const [looking, acting] = [stage.over(link), stage.backend()];
      const change = async (what: string): Promise<void> => {
        await stage.join(acting, 'crew', { id: what, create: true });
        await stage.hold(acting, what);
        await lastValueFrom(acting.register({ kind: 'election', name: what }));
        await lastValueFrom(acting.swap('config', 'any', bytes(what)));
      };
      await change('before');
      const streams: readonly Observable<unknown>[] = [
        looking.entries({ kind: 'group', name: 'crew' }),
        looking.registered('election'),
        looking.cell('config'),
        members(looking, 'crew'),
        memberMap(looking, 'crew'),
        leader(looking, 'nobody'),
        holders(looking, 'before'),
      ];
      const probes = streams.map((stream) => stage.probe(stream));
      for (const probe of probes) await probe.first('the first state');
      await link.reset();
      await stage.hold(looking, 'over the new connection');
      await change('after');
      for (const probe of probes.slice(0, 5)) await probe.now(() => probe.values.length > 1, 'the change');
      expect(probes.map(({ values }) => values.length)).toEqual([2, 2, 2, 2, 2, 1, 1]);
    },
  );

  hazard('who is cut off longer than the lifetime is told before the rival is admitted', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    const { grant, held } = await stage.hold(backend, 'ledger');
    const leading = stage.probe(leadership(backend, 'chief'));
    await leading.now(leads, 'the leadership');
    let abortedNs: bigint | undefined;
    grant.signal.addEventListener('abort', () => {
      abortedNs = process.hrtime.bigint();
    });
    const rival = stage.backend();
    const [rivalHolds, rivalLeads] = [stage.probe(lock(rival, 'ledger')), stage.probe(leadership(rival, 'chief'))];
    await stage.inLine('ledger', 2);
    await stage.inLine('chief', 2, 'election');
    const states = stage.probe(backend.session$);
    link.cut();
    const error = await held.failure('the lock is lost', stage.expiryMs);
    expect(error).toBeInstanceOf(LockLost);
    expect(error).toMatchObject({ reason: 'session lost', token: grant.token });
    await rivalHolds.first('the lock for the rival');
    await rivalLeads.now(leads, 'the leadership of the rival');
    expect(held.endedAtNs).toBeLessThan(rivalHolds.timesNs[0] ?? 0n);
    expect(abortedNs).toBeLessThan(rivalHolds.timesNs[0] ?? 0n);
    expect(leading.timesNs[leading.values.indexOf(false, 1)]).toBeLessThan(rivalLeads.timesNs.at(-1) ?? 0n);
    expect(states.values.map(({ state }) => state).slice(0, 3)).toEqual(['live', 'suspended', 'lost']);
  });

  hazard('who was cut off takes part again by itself, behind those who waited', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    const leading = stage.probe(leadership(backend, 'chief'));
    await leading.now(leads, 'the leadership');
    const { joined, membership } = await stage.join(backend, 'crew', { id: 'a', create: true });
    const waiting = stage.probe(lock(backend, 'ledger'));
    const { grant } = await stage.hold(stage.backend(), 'other');
    expect(grant.isValid()).toBe(true);
    const rival = stage.probe(leadership(stage.backend(), 'chief'));
    await stage.inLine('chief', 2, 'election');
    const sets = stage.probe(members(stage.watcher, 'crew'));
    await sets.now(consistsOf('a'), 'the member');
    link.cut();
    await leading.now((value) => !value, 'the loss', stage.expiryMs);
    await rival.now(leads, 'the leadership of the rival');
    await sets.now(consistsOf(), 'the set without the member');
    await link.heal();
    await sets.now(consistsOf('a'), 'the member again');
    await joined.now(({ token }) => token > membership.token, 'the membership again');
    await stage.inLine('chief', 2, 'election');
    expect(leading.last).toBe(false);
    rival.unsubscribe();
    await leading.now(leads, 'the leadership again');
    expect(leading.values).toEqual(leading.values.map((_, i) => i % 2 === 1));
    expect(waiting.hasEnded && waiting.values.length > 1).toBe(false);
    await stage.hold(backend, 'free');
  });

  hazard('who waits for a lock while its session is lost still gets it, once', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link);
    const { held } = await stage.hold(stage.backend(), 'ledger');
    const waiting = stage.probe(lock(backend, 'ledger'));
    await stage.inLine('ledger', 2);
    const states = stage.probe(backend.session$);
    link.cut();
    await states.ever(is('lost'), 'the loss of the session');
    await stage.inLine('ledger', 1);
    await link.heal();
    await stage.inLine('ledger', 2);
    held.unsubscribe();
    await waiting.first('the lock');
    expect(await stage.inLine('ledger', 1)).toHaveLength(1);
    expect(waiting.hasEnded).toBe(false);
  });

  hazard(
    'who waits and hears, but is not heard, is not admitted by hearsay when its session has died',
    async (stage) => {
      const link = await stage.link();
      const backend = stage.over(link);
      const { held } = await stage.hold(stage.backend(), 'ledger');
      const waiting = stage.probe(lock(backend, 'ledger'));
      await stage.inLine('ledger', 2);
      const states = stage.probe(backend.session$);
      link.silence();
      await stage.inLine('ledger', 1);
      held.unsubscribe();
      const next = await stage.hold(stage.backend(), 'ledger');
      await states.ever(is('lost'), 'the loss of the session');
      expect(waiting.values).toEqual([]);
      await link.reset();
      await stage.inLine('ledger', 2);
      expect([waiting.values.length, next.grant.isValid()]).toEqual([0, true]);
      next.held.unsubscribe();
      await waiting.first('the lock');
    },
  );

  hazard('a release that comes after the loss frees nobody else', async (stage) => {
    const link = await stage.link();
    const { held } = await stage.hold(stage.over(link), 'ledger');
    const second = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    const third = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 3);
    link.cut();
    held.unsubscribe();
    const grant = await second.first('the lock for the second', stage.soonMs);
    await link.heal();
    await stage.hold(stage.over(link), 'another over the healed link');
    expect((await stage.inLine('ledger', 2)).map(({ id }) => id)[0]).toBe(grant.id);
    expect([grant.isValid(), third.values.length]).toEqual([true, 0]);
  });

  hazard('with giveUpAt suspended, what is held is given up as soon as the connection is in doubt', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link, { giveUpAt: 'suspended' });
    const { grant, held } = await stage.hold(backend, 'ledger');
    const rival = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    link.cut();
    expect(await held.failure('the lock is given up', stage.promptMs)).toBeInstanceOf(LockLost);
    expect(grant.isValid()).toBe(false);
    expect(rival.values).toEqual([]);
    await rival.first('the lock for the rival');
  });

  hazard('when the store is restarted with its data, everybody takes part again without help', async (stage) => {
    const server = await stage.server();
    const [here, there] = [stage.over(server), stage.over(server)];
    const leading = stage.probe(leadership(here, 'chief'));
    await leading.now(leads, 'the leadership');
    const second = stage.probe(leadership(there, 'chief'));
    const joined = [
      await stage.join(here, 'crew', { id: 'a', create: true }),
      await stage.join(there, 'crew', { id: 'b' }),
    ];
    const sets = stage.probe(members(there, 'crew'));
    await sets.now(consistsOf('a', 'b'), 'both members');
    await server.stop();
    await server.start();
    await stage.hold(here, 'after the restart');
    await stage.hold(there, 'after the restart too');
    await sets.now(consistsOf('a', 'b'), 'both members again', 2 * stage.soonMs);
    // Nobody was there for a moment if everybody had to join again, because the store was away for too long.
    const stayed = joined.some(({ joined: { values } }) => values[0]?.signal.aborted === false);
    expect(sets.values.filter(({ size }) => size === 0 && stayed)).toEqual([]);
    const leader = await Promise.race(
      [leading, second].map(async (probe) => {
        await probe.now(leads, 'a leader after the restart', 2 * stage.soonMs);
        return probe;
      }),
    );
    leader.unsubscribe();
    const other = leader === leading ? second : leading;
    await other.now(leads, 'the other one as leader', 2 * stage.soonMs);
  });
}

/** For what is true as long as time passes: there is no event to wait for. */
function passes(ms: number): Promise<void> {
  return new Promise((passed) => setTimeout(passed, ms));
}
