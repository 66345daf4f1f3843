import { BehaviorSubject, defer, map, mergeMap, NEVER, type Observable, of, Subject, tap } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend, Entry, Place } from '../../src/backends/backend.js';
import {
  AuthenticationFailed,
  BackendClosed,
  GroupNotFound,
  MemberAlreadyExists,
  OutcomeUnknown,
  PlaceLost,
} from '../../src/backends/errors.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { jsonCodec } from '../../src/backends/shared/codec.js';
import { createGroup } from '../../src/observables/groups/create-group.js';
import { groups } from '../../src/observables/groups/groups.js';
import { join } from '../../src/observables/groups/join.js';
import { memberMap } from '../../src/observables/groups/member-map.js';
import { members } from '../../src/observables/groups/members.js';
import type { Membership } from '../../src/observables/groups/membership.js';
import { entryOf, ManualTime, placeOf, QUICK, scripted, sessionIdOf, virtually } from '../support/virtual-time.js';

const places = { a: placeOf(5n), b: placeOf(9n) };
const gone = new PlaceLost('group "g"', 'session lost');
const unknown = new GroupNotFound('g');
const refused = new AuthenticationFailed('scripted', 'nowhere');
const nobody: Observable<readonly Entry[]> = of([]);
const other = (token: bigint, id = 'm'): Entry => entryOf(`e${token}`, token, { id, owner: 'another' }, 'shared');
const tokensOf = (membership$: Observable<Membership>) => membership$.pipe(map(({ token }) => token));
const tokens = { a: 5n, b: 9n };
const text = (payload: Uint8Array | undefined): unknown => JSON.parse(new TextDecoder().decode(payload));

describe('join', () => {
  it('emits the membership when nobody else is in the group under the id', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('--a---', places);
      const look = cold('    -(x|)', { x: [other(1n, 'n')] });
      const backend = scripted({ enter, look }, scheduler);
      expectObservable(tokensOf(join(backend, 'g', { id: 'm' })), '^------!').toBe('---a', tokens);
      expectSubscriptions(enter.subscriptions).toBe('^------!');
      expectSubscriptions(look.subscriptions).toBe('--^!');
    });
  });

  it('shares the group with everybody, in one that is registered, under an id, an owner and its capabilities', () => {
    virtually(({ scheduler }) => {
      const backend = scripted({}, scheduler);
      join(backend, 'g', { id: 'm', capabilities: { zone: 'a' } })
        .subscribe()
        .unsubscribe();
      expect(backend.calls).toEqual(['enter group g']);
      const [request] = backend.requests;
      expect(request).toMatchObject({ mode: 'shared', permits: Number.POSITIVE_INFINITY, registered: true });
      expect(text(request?.payload)).toEqual({
        id: 'm',
        owner: expect.stringMatching(/^[0-9a-f-]{36}$/),
        capabilities: { zone: 'a' },
      });
    });
  });

  it('makes a new id and owner for each subscription where no id is given', () => {
    virtually(({ scheduler }) => {
      const backend = scripted({}, scheduler);
      const joining = join(backend, 'g');
      joining.subscribe().unsubscribe();
      joining.subscribe().unsubscribe();
      const records = backend.requests.map(({ payload }) => text(payload));
      expect(records).toHaveLength(2);
      expect(new Set(records.flatMap((record) => Object.values(record as object))).size).toBe(4);
    });
  });

  it('is silent while the store is, and completes with it', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const never = cold<Place>('-');
      expectObservable(join(scripted({ enter: never }, scheduler), 'g'), '^--!').toBe('');
      expectObservable(join(scripted({ enter: cold('-|') }, scheduler), 'g')).toBe('-|');
      expectObservable(tokensOf(join(scripted({ enter: cold('-a-|', places), look: nobody }, scheduler), 'g'))).toBe(
        '-a-|',
        tokens,
      );
      expectSubscriptions(never.subscriptions).toBe('^--!');
    });
  });

  it('joins again whenever its place is lost', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const first = cold('-a-#', places, gone);
      const second = cold('  --b', places);
      const backend = scripted({ enter: [first, second], look: nobody }, scheduler);
      expectObservable(tokensOf(join(backend, 'g')), '^------!').toBe('-a---b', tokens);
      expectSubscriptions(first.subscriptions).toBe('^--!');
      expectSubscriptions(second.subscriptions).toBe('---^---!');
    });
  });

  it('joins again under the same id and owner, and with its latest capabilities', () => {
    virtually(({ cold, scheduler, at }) => {
      const capabilities = new BehaviorSubject(1);
      const backend = scripted({ enter: [cold('a---#', places, gone), NEVER], look: nobody }, scheduler);
      join(backend, 'g', { id: 'm', capabilities }).subscribe();
      at(2, () => capabilities.next(2));
      at(9, () => {
        const [first, second] = backend.requests.map(({ payload }) => text(payload));
        expect(first).toMatchObject({ id: 'm', capabilities: 1 });
        expect(second).toEqual({ ...(first as object), capabilities: 2 });
      });
    });
  });

  it('fails with GroupNotFound without create', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const backend = scripted({ enter: cold('-#', undefined, unknown) }, scheduler);
      expectObservable(join(backend, 'g')).toBe('-#', undefined, unknown);
      expectObservable(join(backend, 'g', { create: false })).toBe('-#', undefined, unknown);
      at(9, () => expect(backend.calls).toEqual(['enter group g', 'enter group g']));
    });
  });

  it('creates the group and joins with create, whether or not another has created it meanwhile', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      for (const created of [true, false]) {
        const register = cold('--(c|)', { c: created });
        const backend = scripted(
          { enter: [cold('-#', undefined, unknown), cold('-a', places)], register, look: nobody },
          scheduler,
        );
        expectObservable(tokensOf(join(backend, 'g', { create: true })), '^-----!').toBe('----a', tokens);
        expectSubscriptions(register.subscriptions).toBe('-^-!');
        at(9, () =>
          expect(backend.calls).toEqual(['enter group g', 'register group g', 'enter group g', 'look group g']),
        );
      }
    });
  });

  it('creates the group again when it was deleted before it could be joined', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const absent = cold<Place>('-#', undefined, unknown);
      const backend = scripted(
        { enter: [absent, absent, cold('a', places)], register: of(true), look: nobody },
        scheduler,
      );
      expectObservable(tokensOf(join(backend, 'g', { create: true })), '^---!').toBe('--a', tokens);
    });
  });

  it('joins again, which shows whether the group is there, when it is not known whether it was created', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const doubt = new OutcomeUnknown('scripted', 'create group "g"');
      const backend = scripted(
        {
          enter: [cold('-#', undefined, unknown), cold('-a', places)],
          register: cold('--#', undefined, doubt),
          look: nobody,
        },
        scheduler,
      );
      expectObservable(tokensOf(join(backend, 'g', { create: true })), '^-----!').toBe('----a', tokens);
      at(9, () => expect(backend.calls.slice(0, 3)).toEqual(['enter group g', 'register group g', 'enter group g']));
    });
  });

  it('passes the error of creating, and any other', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const creating = scripted(
        { enter: cold('-#', undefined, unknown), register: cold('--#', undefined, refused) },
        scheduler,
      );
      const entering = scripted({ enter: cold('-#', undefined, refused) }, scheduler);
      const looking = scripted({ enter: cold('-a', places), look: cold('-#', undefined, refused) }, scheduler);
      expectObservable(join(creating, 'g', { create: true })).toBe('---#', undefined, refused);
      expectObservable(join(entering, 'g', { create: true })).toBe('-#', undefined, refused);
      expectObservable(join(looking, 'g')).toBe('--#', undefined, refused);
    });
  });

  it('fails with MemberAlreadyExists when another has stood under the id for longer, and leaves', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a--', places);
      const backend = scripted({ enter, look: of([other(4n)]) }, scheduler);
      expectObservable(join(backend, 'g', { id: 'm' })).toBe('-#', undefined, new MemberAlreadyExists('g', 'm'));
      expectSubscriptions(enter.subscriptions).toBe('^!');
    });
  });

  it('does not mind another who came later, nor one under another id', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const backend = scripted({ enter: cold('-a--', places), look: of([other(1n, 'n'), other(6n)]) }, scheduler);
      expectObservable(tokensOf(join(backend, 'g', { id: 'm' })), '^---!').toBe('-a', tokens);
    });
  });

  it('does not mind itself from its lost session', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const seen = new Subject<readonly Entry[]>();
      const backend = scripted({ enter: [cold('a-#', places, gone), cold('-b', places)], look: seen }, scheduler);
      expectObservable(tokensOf(join(backend, 'g', { id: 'm' })), '^------!').toBe('-a---b', tokens);
      at(1, () => seen.next([]));
      at(5, () => {
        const { owner } = text(backend.requests[0]?.payload) as { owner: string };
        seen.next([entryOf('e5', 5n, { id: 'm', owner }, 'shared')]);
      });
    });
  });

  it('waits for another who has taken its id meanwhile, when it joins again', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const looks = [of([]), of([other(7n)])];
      const entries = cold('y-y-x', { x: [], y: [other(7n)] });
      const second = cold('-b--', places);
      const backend = scripted(
        {
          enter: [cold('a-#', places, gone), second],
          look: defer(() => looks.shift() ?? NEVER),
          entries,
        },
        scheduler,
      );
      expectObservable(tokensOf(join(backend, 'g', { id: 'm' })), '^---------!').toBe('a------b', tokens);
      expectSubscriptions(second.subscriptions).toBe('--^-------!');
      expectSubscriptions(entries.subscriptions).toBe('---^---!');
    });
  });

  it('errors with the loss that its signal tells when it is removed, and does not join again', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const signal = new AbortController();
      const place = { ...placeOf(5n), signal: signal.signal };
      const evicted = new PlaceLost('group "g"', 'evicted', 'an administrator');
      const first = cold('-a-#', { a: place }, evicted);
      const backend = scripted({ enter: [first, cold('a', places)], look: nobody }, scheduler);
      const memberships: Membership[] = [];
      const error = expect.objectContaining({
        _tag: 'MembershipLost',
        group: 'g',
        token: 5n,
        reason: 'evicted',
        cause: 'an administrator',
        message: expect.stringMatching(/Somebody has removed it/),
      });
      const told: unknown[] = [];
      const joined = join(backend, 'g', { id: 'm' }).pipe(
        tap({ next: (membership) => memberships.push(membership), error: (loss) => told.push(loss) }),
      );
      expectObservable(tokensOf(joined)).toBe('-a-#', tokens, error);
      expectSubscriptions(first.subscriptions).toBe('^--!');
      at(2, () => signal.abort(evicted));
      at(9, () => {
        expect(told).toHaveLength(1);
        expect(memberships[0]?.signal.reason).toBe(told[0]);
        expect(backend.calls).toEqual(['enter group g', 'look group g']);
      });
    });
  });

  it('errors with it, too, when it is removed while it looks, or waits', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const evicted = new PlaceLost('group "g"', 'evicted');
      const error = expect.objectContaining({ _tag: 'MembershipLost', reason: 'evicted', token: 5n });
      const looking = scripted({ enter: cold('-a-#', places, evicted) }, scheduler);
      const waiting = scripted(
        { enter: cold('-a-#', places, evicted), look: of([other(4n)]), entries: cold('y', { y: [other(4n)] }) },
        scheduler,
      );
      expectObservable(join(looking, 'g', { id: 'm' })).toBe('---#', undefined, error);
      expectObservable(join(waiting, 'g', { id: 'm', ifTaken: 'wait' })).toBe('---#', undefined, error);
    });
  });

  it('enters anew where what it asked for was removed before it knew of it', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const evicted = new PlaceLost('group "g"', 'evicted');
      const backend = scripted(
        { enter: [cold('-#', undefined, evicted), cold('-a', places)], look: nobody },
        scheduler,
      );
      expectObservable(tokensOf(join(backend, 'g')), '^---!').toBe('--a', tokens);
    });
  });

  it('waits for another who has its id, from the first, where it is told to', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const entries = cold('y-y-x', { x: [other(8n)], y: [other(4n)] });
      const enter = cold('-a--', places);
      const backend = scripted({ enter, look: of([other(4n)]), entries }, scheduler);
      expectObservable(tokensOf(join(backend, 'g', { id: 'm', ifTaken: 'wait' })), '^------!').toBe('-----a', tokens);
      expectSubscriptions(enter.subscriptions).toBe('^------!');
      expectSubscriptions(entries.subscriptions).toBe('-^---!');
      at(9, () => expect(backend.calls).toEqual(['enter group g', 'look group g', 'entries group g']));
    });
  });

  it('is no member where the backend is closed while it waits for its id', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const waiting = {
        enter: cold('-a---|', places),
        look: of([other(4n)]),
        entries: cold('y-|', { y: [other(4n)] }),
      };
      const joined = join(scripted(waiting, scheduler), 'g', { id: 'm', ifTaken: 'wait' });
      expectObservable(joined).toBe('-----|');
    });
  });

  it('removes those who have stood longer under its id, and nobody else, where it takes over', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const evict = cold('--(t|)', { t: true });
      const backend = scripted(
        { enter: cold('-a--', places), look: of([other(1n, 'n'), other(3n), other(4n), other(6n)]), evict },
        scheduler,
      );
      expectObservable(tokensOf(join(backend, 'g', { id: 'm', ifTaken: 'takeOver' })), '^------!').toBe('---a', tokens);
      expectSubscriptions(evict.subscriptions).toBe(['-^-!', '-^-!']);
      at(9, () =>
        expect(backend.calls).toEqual(['enter group g', 'look group g', 'evict group g e3', 'evict group g e4']),
      );
    });
  });

  it('looks again where it is not known whether the other was removed, and passes any other error', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const looks = [of([other(4n)]), of([])];
      const backend = scripted(
        {
          enter: cold('-a--', places),
          look: defer(() => looks.shift() ?? NEVER),
          evict: cold('--#', undefined, new OutcomeUnknown('scripted', 'evict')),
        },
        scheduler,
      );
      const failing = scripted(
        { enter: cold('-a--', places), look: of([other(4n)]), evict: cold('--#', undefined, refused) },
        scheduler,
      );
      const options = { id: 'm', ifTaken: 'takeOver' } as const;
      expectObservable(tokensOf(join(backend, 'g', options)), '^------!').toBe('---a', tokens);
      expectObservable(join(failing, 'g', options)).toBe('---#', undefined, refused);
      at(9, () => expect(backend.calls.filter((call) => call.startsWith('look'))).toHaveLength(2));
    });
  });

  it('does not take over from who has its id by now, when it joins again after a loss', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const looks = [of([]), of([other(7n)])];
      const backend = scripted(
        {
          enter: [cold('a-#', places, gone), cold('-b--', places)],
          look: defer(() => looks.shift() ?? NEVER),
          entries: cold('y-y-x', { x: [], y: [other(7n)] }),
        },
        scheduler,
      );
      const joined = join(backend, 'g', { id: 'm', ifTaken: 'takeOver' });
      expectObservable(tokensOf(joined), '^---------!').toBe('a------b', tokens);
      at(20, () => expect(backend.calls.filter((call) => call.startsWith('evict'))).toEqual([]));
    });
  });

  it('stays a member when later capabilities cannot be encoded: a fault, and the last good ones stay', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const capabilities = cold('a-b-c-d', { a: 'a', b: 7n, c: 'x'.repeat(65_535), d: 'd' });
      const backend = scripted({ enter: cold('-a---', places), look: nobody }, scheduler);
      const updates: unknown[] = [];
      expectObservable(tokensOf(join(backend, 'g', { id: 'm', capabilities })), '^--------!').toBe('-a', tokens);
      at(1, () => void backend.requests[0]?.payload$?.subscribe((payload) => updates.push(text(payload))));
      at(9, () => {
        expect(updates).toMatchObject([{ capabilities: 'd' }]);
        expect(backend.faults).toMatchObject([
          { _tag: 'InvalidPayload', subject: 'member "m"' },
          { _tag: 'InvalidPayload', subject: 'member "m"' },
        ]);
      });
    });
  });

  it('tells the capabilities that the store has, until the membership ends', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const left = new AbortController();
      const capabilities = cold('a-b-c-d');
      const place = { ...placeOf(5n), signal: left.signal };
      const backend = scripted({ enter: cold('-a---', { a: place }), look: nobody }, scheduler);
      const stored$ = join(backend, 'g', { id: 'm', capabilities }).pipe(mergeMap((membership) => membership.stored$));
      expectObservable(stored$, '^---------!').toBe('-a---c');
      at(5, () => {
        backend.requests[0]?.payload$?.subscribe().unsubscribe();
        let payload: Uint8Array | undefined;
        backend.requests[0]?.payload$?.subscribe((latest) => {
          payload = latest;
        });
        if (payload !== undefined) backend.requests[0]?.stored?.(payload);
      });
      at(6, () => left.abort());
      at(7, () => backend.requests[0]?.stored?.(new Uint8Array()));
    });
  });

  it('joins with the first value of capabilities that are an Observable, and replaces it by each further one', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const capabilities = cold('--a-b-c|');
      const enter = cold('       -a---', places);
      const backend = scripted({ enter, look: nobody }, scheduler);
      const updates: unknown[] = [];
      expectObservable(tokensOf(join(backend, 'g', { capabilities })), '^--------!').toBe('---a', tokens);
      expectSubscriptions(capabilities.subscriptions).toBe('^------!');
      expectSubscriptions(enter.subscriptions).toBe('--^------!');
      at(3, () => void backend.requests[0]?.payload$?.subscribe((payload) => updates.push(text(payload))));
      at(9, () => {
        expect(text(backend.requests[0]?.payload)).toMatchObject({ capabilities: 'a' });
        expect(updates).toMatchObject([{ capabilities: 'b' }, { capabilities: 'c' }]);
      });
    });
  });

  it('does not miss capabilities that came while it was joining, nor write the first ones twice', () => {
    virtually(({ cold, scheduler, at }) => {
      const capabilities = cold('a-b-----c');
      const backend = scripted({}, scheduler);
      join(backend, 'g', { capabilities }).subscribe();
      const updates: unknown[] = [];
      const early: unknown[] = [];
      at(1, () => void backend.requests[0]?.payload$?.subscribe((payload) => early.push(text(payload))));
      at(4, () => void backend.requests[0]?.payload$?.subscribe((payload) => updates.push(text(payload))));
      at(20, () => {
        expect(early).toMatchObject([{ capabilities: 'b' }, { capabilities: 'c' }]);
        expect(updates).toMatchObject([{ capabilities: 'b' }, { capabilities: 'c' }]);
      });
    });
  });

  it('joins without any where the capabilities end before their first value', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const backend = scripted({ enter: cold('a', places), look: nobody }, scheduler);
      expectObservable(tokensOf(join(backend, 'g', { capabilities: cold('--|') })), '^----!').toBe('--a', tokens);
      at(9, () => expect(text(backend.requests[0]?.payload)).not.toHaveProperty('capabilities'));
    });
  });

  it('does not join while the capabilities say nothing', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const capabilities = cold('-');
      const backend = scripted({}, scheduler);
      expectObservable(join(backend, 'g', { capabilities }), '^--!').toBe('');
      expectSubscriptions(capabilities.subscriptions).toBe('^--!');
      at(9, () => expect(backend.calls).toEqual([]));
    });
  });

  it('errors with what the capabilities error with before they have a value', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const backend = scripted({}, scheduler);
      expectObservable(join(backend, 'g', { capabilities: cold('--#') })).toBe('--#');
      at(9, () => expect(backend.calls).toEqual([]));
    });
  });

  it('errors with InvalidPayload for capabilities that cannot be encoded, and sends nothing', () => {
    virtually(({ scheduler, expectObservable, at }) => {
      const backend = scripted({}, scheduler);
      const error = expect.objectContaining({ _tag: 'InvalidPayload', subject: 'member "m"' });
      expectObservable(join(backend, 'g', { id: 'm', capabilities: 1n })).toBe('#', undefined, error);
      expectObservable(join(backend, 'g', { id: 'm', capabilities: of(1n) })).toBe('#', undefined, error);
      at(9, () => expect(backend.calls).toEqual([]));
    });
  });

  it('has room for capabilities of 64 KiB, and errors with InvalidPayload for more', () => {
    virtually(({ scheduler, expectObservable }) => {
      const enter: Observable<Place> = of(placeOf(5n));
      const joining = (length: number) =>
        tokensOf(join(scripted({ enter, look: nobody }, scheduler), 'g', { capabilities: 'x'.repeat(length) }));
      // JSON puts a quotation mark on either side.
      expectObservable(joining(65_534)).toBe('(a|)', tokens);
      expectObservable(joining(65_535)).toBe('#', undefined, expect.objectContaining({ _tag: 'InvalidPayload' }));
    });
  });

  it('writes capabilities that are back at the first, even where the codec gives the very same bytes', () => {
    virtually(({ scheduler }) => {
      const known = new Map<string, Uint8Array>();
      const codec = {
        ...jsonCodec,
        encode: (value: unknown): Uint8Array => {
          const bytes = jsonCodec.encode(value);
          const key = String(bytes);
          known.set(key, known.get(key) ?? bytes);
          return known.get(key) ?? bytes;
        },
      };
      const capabilities = new BehaviorSubject(1);
      const backend = { ...scripted({}, scheduler), codec };
      join(backend, 'g', { id: 'm', capabilities }).subscribe();
      const written: unknown[] = [];
      backend.requests[0]?.payload$?.subscribe((payload) => written.push(text(payload)));
      capabilities.next(2);
      capabilities.next(1);
      expect(written).toMatchObject([{ capabilities: 2 }, { capabilities: 1 }]);
    });
  });

  it('refuses options at the call', () => {
    virtually(({ scheduler }) => {
      const refusal = (field: string) =>
        expect.objectContaining({
          _tag: 'InvalidOptions',
          violations: [expect.stringMatching(new RegExp(`^${field} (must be|is not)`))],
        });
      const joining = (options: unknown) => () => join(scripted({}, scheduler), 'g', options as never);
      expect(joining({ create: 'yes' })).toThrow(refusal('create'));
      for (const ifTaken of ['takeover', true, 1, null, {}]) expect(joining({ ifTaken })).toThrow(refusal('ifTaken'));
      expect(joining({ isTaken: 'wait' })).toThrow(refusal('isTaken'));
    });
  });

  it('refuses names at the call', () => {
    virtually(({ scheduler }) => {
      const refusal = expect.objectContaining({ _tag: 'InvalidName' });
      expect(() => join(scripted({}, scheduler), '')).toThrow(refusal);
      expect(() => join(scripted({}, scheduler), 'g', { id: '' })).toThrow(refusal);
    });
  });

  it('gives a membership that asks its place', () => {
    virtually(({ scheduler }) => {
      let isValid = true;
      const place = placeOf(7n, true, () => isValid);
      const joined: Membership[] = [];
      join(scripted({ enter: of(place), look: nobody }, scheduler), 'g', { id: 'm' }).subscribe((m) => joined.push(m));
      expect(joined).toMatchObject([{ group: 'g', id: 'm', token: 7n, signal: place.signal }]);
      expect(joined[0]?.isValid()).toBe(true);
      isValid = false;
      expect(joined[0]?.isValid()).toBe(false);
    });
  });
});

describe('join over a store', () => {
  const ids = (membership$: Observable<Membership>) => membership$.pipe(map(({ id }) => id));

  it('leaves when unsubscribed from, and joins anew when subscribed to again', () => {
    virtually(({ process, expectObservable }) => {
      const [member, watcher] = [process(), process()];
      const joined = ids(join(member, 'g', { id: 'm', create: true }));
      expectObservable(joined, '--^--!').toBe('--m');
      expectObservable(joined, '-------^--!').toBe('-------m');
      const seen = members(watcher, 'g').pipe(map((all) => `${all.size}`));
      expectObservable(seen, '^-----------!').toBe('0-1--0-1--0');
    });
  });

  it('does not touch another who has the id', () => {
    virtually(({ process, expectObservable, at }) => {
      const [first, second, watcher] = [process(), process(), process()];
      at(0, () => void join(first, 'g', { id: 'm', capabilities: 'first', create: true }).subscribe());
      const error = expect.objectContaining({ _tag: 'MemberAlreadyExists', group: 'g', memberId: 'm' });
      expectObservable(join(second, 'g', { id: 'm', capabilities: 'second' }), '--^').toBe('--#', undefined, error);
      const seen = memberMap(watcher, 'g').pipe(map((all) => [...all.values()].map((m) => m.capabilities).join()));
      expectObservable(seen, '-^-----!').toBe('-a', { a: 'first' });
    });
  });

  it('takes its id over: the earlier one is told, and does not come back; the later one is the member', () => {
    virtually(({ process, expectObservable }) => {
      const [first, second, watcher] = [process(), process(), process()];
      const error = expect.objectContaining({ _tag: 'MembershipLost', reason: 'evicted' });
      const joining = (backend: Backend, capabilities: string) =>
        join(backend, 'g', { id: 'm', capabilities, create: true, ifTaken: 'takeOver' });
      expectObservable(ids(joining(first, 'first'))).toBe('m--#', undefined, error);
      expectObservable(ids(joining(second, 'second')), '---^-----!').toBe('---m');
      const seen = memberMap(watcher, 'g').pipe(map((all) => [...all.values()].map((m) => m.capabilities).join()));
      expectObservable(seen, '-^-----!').toBe('-a-b', { a: 'first', b: 'second' });
    });
  });

  it('waits for its id, in the order of those who wait', () => {
    virtually(({ process, expectObservable }) => {
      const joining = (backend: Backend) => ids(join(backend, 'g', { id: 'm', create: true, ifTaken: 'wait' }));
      expectObservable(joining(process()), '^----!').toBe('m');
      expectObservable(joining(process()), '-^------!').toBe('-----m');
      expectObservable(joining(process()), '--^------!').toBe('--------m');
    });
  });

  it('lets one of two who come under the same id at once in', () => {
    virtually(({ process, expectObservable }) => {
      const [first, second] = [process(), process()];
      const error = expect.objectContaining({ _tag: 'MemberAlreadyExists' });
      expectObservable(ids(join(first, 'g', { id: 'm', create: true })), '^----!').toBe('m');
      expectObservable(ids(join(second, 'g', { id: 'm', create: true }))).toBe('#', undefined, error);
    });
  });

  it('shows each change of capabilities, the token staying', () => {
    virtually(({ process, cold, expectObservable, at }) => {
      const [member, watcher] = [process(), process()];
      const seenTokens = new Set<bigint | undefined>();
      at(0, () => void join(member, 'g', { id: 'm', capabilities: cold('-a-b-(cd)'), create: true }).subscribe());
      const seen = memberMap(watcher, 'g').pipe(
        map((all) => {
          const one = all.get('m');
          if (one !== undefined) seenTokens.add(one.token);
          return `${one?.capabilities}`;
        }),
      );
      expectObservable(seen, '^ 19ms !').toBe('na-b-(cd)', { n: 'undefined', a: 'a', b: 'b', c: 'c', d: 'd' });
      at(20, () => expect(seenTokens.size).toBe(1));
    });
  });

  it('errors with what the capabilities error with after it has joined, and leaves', () => {
    virtually(({ process, cold, expectObservable }) => {
      const [member, watcher] = [process(), process()];
      const joined = ids(join(member, 'g', { id: 'm', capabilities: cold('-a-#'), create: true }));
      expectObservable(joined).toBe('-m-#');
      expectObservable(members(watcher, 'g').pipe(map((all) => `${all.size}`)), '^----!').toBe('01-0');
    });
  });

  it('joins again in the next session, with a greater token', () => {
    virtually(({ process, expire, at }) => {
      const member = process();
      const seen: bigint[] = [];
      tokensOf(join(member, 'g', { create: true })).subscribe((token) => seen.push(token));
      at(10, () => expire(member));
      at(30, () => {
        expect(seen).toHaveLength(2);
        expect(seen[1]).toBeGreaterThan(seen[0] as bigint);
      });
    });
  });

  it('keeps a membership through a partition that heals before the deadline', () => {
    virtually(({ process, partition, heal, at, expectObservable }) => {
      const [member, watcher] = [process(), process()];
      expectObservable(ids(join(member, 'g', { id: 'm', create: true })), '^ 299ms !').toBe('m');
      expectObservable(members(watcher, 'g').pipe(map((all) => `${all.size}`)), '-^ 297ms !').toBe('-1');
      at(50, () => partition(member));
      at(130, () => heal(member));
    });
  });

  it('fails with GroupNotFound until the group is created', () => {
    virtually(({ process, expectObservable }) => {
      const backend = process();
      const error = expect.objectContaining({ _tag: 'GroupNotFound', group: 'g' });
      expectObservable(join(backend, 'g')).toBe('#', undefined, error);
      expectObservable(createGroup(backend, 'g'), '--^').toBe('--(c|)', { c: undefined });
      expectObservable(ids(join(backend, 'g', { id: 'm' })), '---^--!').toBe('---m');
    });
  });

  it('creates the group for good: it is there after its last member has left', () => {
    virtually(({ process, expectObservable }) => {
      const backend = process();
      expectObservable(ids(join(backend, 'g', { id: 'm', create: true })), '-^--!').toBe('-m');
      expectObservable(groups(backend).pipe(map((all) => [...all].join())), '^--------!').toBe('ng', { n: '', g: 'g' });
    });
  });

  it('completes, and leaves, when the backend is closed', () => {
    virtually(({ process, at, expectObservable }) => {
      const [member, watcher] = [process(), process()];
      at(10, () => void member.close());
      expectObservable(ids(join(member, 'g', { id: 'm', create: true }))).toBe('m 9ms |');
      expectObservable(members(watcher, 'g').pipe(map((all) => `${all.size}`)), '-^ 19ms !').toBe('-1 8ms 0');
    });
  });

  it('completes when the backend is closed by who is told of the loss', () => {
    virtually(({ process, at, expire, expectObservable }) => {
      const member = process();
      const closing$ = join(member, 'g', { id: 'm', create: true }).pipe(
        tap(({ signal }) => signal.addEventListener('abort', () => void member.close())),
      );
      at(10, () => expire(member));
      expectObservable(ids(closing$)).toBe('m 9ms |');
    });
  });

  it('completes, and does not error, when the backend is closed while the group is being created', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      // What the port does at close: acts under way error with BackendClosed, stays complete.
      const backend = scripted(
        {
          enter: cold('-#', undefined, unknown),
          register: cold('--#', undefined, new BackendClosed('scripted')),
        },
        scheduler,
      );
      expectObservable(join(backend, 'g', { create: true })).toBe('---|');
    });
  });

  it('completes, and does not error, when the backend is closed by who is told that the group was created', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const closed = new BackendClosed('scripted');
      const backend = scripted(
        {
          enter: [cold('-#', undefined, unknown), cold('#', undefined, closed)],
          register: cold('--(c|)', { c: true }),
        },
        scheduler,
      );
      expectObservable(join(backend, 'g', { create: true })).toBe('---|');
    });
  });
});

describe('join and the end of its backend', () => {
  const completed = (log: unknown[]) => ({
    next: () => log.push('joined'),
    error: (error: Error) => log.push(error.name),
    complete: () => log.push('complete'),
  });

  it('completes though `capabilities` have not said anything yet, and errors where it was closed before', async () => {
    const time = new ManualTime();
    const backend = memory({ ...QUICK, scheduler: time });
    const log: unknown[] = [];
    const silent$ = join(backend, 'g', { capabilities: NEVER, create: true });
    silent$.subscribe(completed(log));
    expect(log).toEqual([]);
    await backend.close();
    expect(log).toEqual(['complete']);
    silent$.subscribe(completed(log));
    await time.passWithPromises(1);
    expect(log).toEqual(['complete', 'BackendClosed']);
    expect(time.pending).toBe(0);
  });

  it('completes though `capabilities` begin while it is being closed, or close it themselves, and nobody joins', async () => {
    for (const how of ['before', 'by themselves'] as const) {
      const time = new ManualTime();
      const store = new MemoryStore(time);
      const [backend, watcher] = [memory({ ...QUICK, store, scheduler: time }), memory({ store, scheduler: time })];
      const log: unknown[] = [];
      const sizes: number[] = [];
      members(watcher, 'g').subscribe(({ size }) => sizes.push(size));
      const capabilities = new Subject<number>();
      const closing = capabilities.pipe(tap(() => how === 'by themselves' && void backend.close()));
      join(backend, 'g', { capabilities: closing, create: true }).subscribe(completed(log));
      if (how === 'before') store.partition(sessionIdOf(backend));
      const closed = how === 'before' ? backend.close() : undefined;
      capabilities.next(1);
      await time.passWithPromises(200);
      await closed;
      expect(log).toEqual(['complete']);
      expect(sizes).toEqual([0]);
      await watcher.close();
    }
  });

  it('completes while it looks whether its id is taken', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const error = new BackendClosed('scripted');
      const backend = scripted(
        { enter: cold('-a', { a: placeOf(1n) }), look: cold('--#', undefined, error) },
        scheduler,
      );
      expectObservable(join(backend, 'g')).toBe('---|');
    });
  });
});
