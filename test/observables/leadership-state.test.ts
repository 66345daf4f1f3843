import { toUndefined } from 'fp-ts/lib/Option.js';
import { map, type Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { AuthenticationFailed } from '../../src/backends/errors.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { type LeadershipState, leadershipState } from '../../src/observables/elections/leadership-state.js';
import { lookAtContenders } from '../../src/observables/holding/contender.js';
import { enveloped, type Header } from '../../src/observables/holding/envelope.js';
import { entryOf, placeOf, scripted, virtually } from '../support/virtual-time.js';

const shownOf = (state$: Observable<LeadershipState>) =>
  state$.pipe(
    map((now) => {
      if (now.state !== 'follower') return now.state;
      const { ahead, leader } = now;
      return `${ahead} behind ${toUndefined(leader)?.id ?? 'nobody'}`;
    }),
  );
const words = { u: 'unknown', l: 'leader', c: 'uncertain' };
const places = { w: placeOf(3n, false), a: placeOf(3n) };
const lines = {
  n: [],
  x: [entryOf('e1', 1n), entryOf('e3', 3n)],
  y: [entryOf('e1', 1n), entryOf('e2', 2n), entryOf('e3', 3n)],
  z: [entryOf('e2', 2n), entryOf('e3', 3n)],
  m: [entryOf('e3', 3n)],
};

describe('leadershipState', () => {
  it('is unknown until the store has told both its place and the line, then a follower, and the leader', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('  --w------a---', places);
      const entries = cold('n---y-z-m----', lines);
      const backend = scripted({ enter, entries }, scheduler);
      expectObservable(shownOf(leadershipState(backend, 'e')), '^-----------!').toBe('u---y-z--l--', {
        ...words,
        y: '2 behind e1',
        z: '1 behind e2',
      });
      expectSubscriptions(enter.subscriptions).toBe('^-----------!');
      expectSubscriptions(entries.subscriptions).toBe('^-----------!');
    });
  });

  it('tells when one before it has gone, and when another leads, each by itself', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const enter = cold('  --w--------', places);
      const entries = cold('--y-x-z-n-x', lines);
      expectObservable(shownOf(leadershipState(scripted({ enter, entries }, scheduler), 'e')), '^----------!').toBe(
        'u-y-x-z---x',
        { ...words, y: '2 behind e1', x: '1 behind e1', z: '1 behind e2' },
      );
    });
  });

  it('tells when nothing has changed but the priority, or the identity, of who leads', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const line = (header: Header) => [
        { ...entryOf('e1', 1n), payload: enveloped(new Uint8Array(), header) },
        entryOf('e3', 3n),
      ];
      const states = { p: line({ priority: 1 }), q: line({ priority: 2 }), i: line({ priority: 2, identity: 'x' }) };
      const entries = cold('p-p-q-q-i-i', states);
      const state$ = leadershipState(scripted({ enter: cold('w', places), entries }, scheduler), 'e');
      const shown$ = state$.pipe(
        map((now) => {
          const leader = now.state === 'follower' ? toUndefined(now.leader) : undefined;
          return [now.state, leader?.priority, leader?.identity];
        }),
      );
      expectObservable(shown$, '^----------!').toBe('(up)q---i--', {
        u: ['unknown', undefined, undefined],
        p: ['follower', 1, undefined],
        q: ['follower', 2, undefined],
        i: ['follower', 2, 'x'],
      });
    });
  });

  it('tells the same state once, however often the line and the session are told', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const enter = cold('  w------', places);
      const entries = cold('x-x-x--', lines);
      const session$ = cold('s-s-ss-', { s: { state: 'live', id: 's' } as const });
      expectObservable(
        shownOf(leadershipState(scripted({ enter, entries, session$ }, scheduler), 'e')),
        '^-----!',
      ).toBe('(ux)', { ...words, x: '1 behind e1' });
    });
  });

  it('tells its id and token, the grant, and for how long it leads', () => {
    virtually(({ process, at, expectObservable, partition, heal }) => {
      const backend = process();
      const seen: LeadershipState[] = [];
      leadershipState(backend, 'e').subscribe((now) => seen.push(now));
      at(30, () => {
        const [, now] = seen;
        if (now?.state !== 'leader') throw new Error(`is ${now?.state}`);
        expect(now.remainingMs()).toBe(84);
        expect(now.grant).toMatchObject({ name: 'e', id: now.id, token: now.token });
        expect(now.grant.isValid()).toBe(true);
      });
      const line$ = lookAtContenders(backend, { kind: 'election', name: 'e' }, (line) => line);
      expectObservable(line$.pipe(map((line) => line.length))).toBe('(1|)', { 1: 1 });
      at(50, () => partition(backend));
      at(120, () => {
        const now = seen.at(-1);
        if (now?.state !== 'uncertain') throw new Error(`is ${now?.state}`);
        expect(now.untilMs).toBe(134);
        expect(now.remainingMs()).toBe(14);
        expect(now.grant.isValid()).toBe(true);
        heal(backend);
      });
      at(140, () => {
        expect(seen.map(({ state }) => state)).toEqual(['unknown', 'leader', 'uncertain', 'leader']);
        expect(seen.at(-1)).toMatchObject({ token: seen[1]?.state === 'leader' ? seen[1].token : 0n });
      });
    });
  });

  it('LossFirst: is unknown at the deadline, before anybody else leads, and before the session tells of it', () => {
    virtually(({ process, partition, heal, at }) => {
      const [first, second] = [process(), process()];
      const log: unknown[] = [];
      shownOf(leadershipState(first, 'e')).subscribe((now) => log.push(now));
      leadership(second, 'e').subscribe((now) => log.push(now));
      first.session$.subscribe(({ state }) => log.push(state));
      at(50, () => partition(first));
      at(300, () => heal(first));
      at(600, () => {
        expect(log.slice(0, 9)).toEqual([
          ...['unknown', 'leader', false, 'live', 'uncertain', 'suspended', 'unknown', 'lost', 'connecting'],
        ]);
        expect(log.indexOf(true)).toBeGreaterThan(9);
        expect(log.at(-1)).toMatch(/^1 behind/);
      });
    });
  });

  it('is unknown again after a stand-down, and then where it stands; release() completes it', () => {
    virtually(({ process, at }) => {
      const [first, second] = [process(), process()];
      const log: unknown[] = [];
      let now: LeadershipState | undefined;
      leadershipState(first, 'e').subscribe((state) => {
        now = state;
      });
      shownOf(leadershipState(second, 'e')).subscribe({ next: (one) => log.push(one), complete: () => log.push('|') });
      at(10, () => {
        if (now?.state === 'leader') now.grant.standDown();
      });
      at(15, () => expect(now).toMatchObject({ state: 'follower', ahead: 1 }));
      at(20, () => void second.close());
      at(30, () => {
        expect(now?.state).toBe('leader');
        expect(log).toEqual(['unknown', expect.stringMatching(/^1 behind/), 'leader', 'unknown', '|']);
        if (now?.state === 'leader') now.grant.release();
        expect(now).toEqual({ state: 'unknown' });
      });
    });
  });

  it('a store that admits nobody yet has followers behind nobody', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const enter = cold('-b----a', { ...places, b: { ...placeOf(3n, false), barred: true } });
      // It is told once, however often the line is.
      const backend = scripted({ enter, entries: cold('m-m-m', lines) }, scheduler);
      expectObservable(shownOf(leadershipState(backend, 'e')), '^-------!').toBe('ub----l', {
        ...words,
        b: '0 behind nobody',
      });
    });
  });

  it('passes errors of its place and of looking, after unknown', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const error = new AuthenticationFailed('scripted', 'nowhere');
      const enter = cold('a---#', places, error);
      expectObservable(shownOf(leadershipState(scripted({ enter }, scheduler), 'e'))).toBe('(ul)(u#)', words, error);
      expectSubscriptions(enter.subscriptions).toBe('^---!');
      const looking = scripted({ enter: cold('a', places), entries: cold('n---#', lines, error) }, scheduler);
      expectObservable(shownOf(leadershipState(looking, 'e'))).toBe('(ul)(u#)', words, error);
    });
  });

  it('tells two places apart by their tokens even when nothing came between them', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const enter = cold('a---b', { a: placeOf(3n), b: placeOf(4n) });
      const tokens$ = leadershipState(scripted({ enter }, scheduler), 'e').pipe(
        map((now) => (now.state === 'leader' ? now.token : now.state)),
      );
      expectObservable(tokens$, '^----!').toBe('(ua)b', { u: 'unknown', a: 3n, b: 4n });
    });
  });

  it('refuses a name and options at the call', () => {
    virtually(({ scheduler }) => {
      const backend = scripted({}, scheduler);
      expect(() => leadershipState(backend, '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
      expect(() => leadershipState(backend, 'e', { priority: 1.5 })).toThrow(/priority must be an integer/);
    });
  });
});
