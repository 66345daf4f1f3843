import { isSome, type Option } from 'fp-ts/lib/Option.js';
import { defer, map, type Observable, of } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { PlaceLost, UndecodablePayload } from '../../src/backends/errors.js';
import { campaign } from '../../src/observables/elections/campaign.js';
import { reentering } from '../../src/observables/elections/reentering.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { ManualTime, placeOf, scripted, shown, virtually } from '../support/virtual-time.js';

const places = { w: placeOf(1n, false), a: placeOf(1n), b: placeOf(2n) };
const tokens = { N: 'none', a: 1n, b: 2n };
const gone = new PlaceLost('election "e"', 'session lost');

const tokensOf = (grant$: Observable<Option<Grant>>) =>
  grant$.pipe(map((grant) => (isSome(grant) ? grant.value.token : shown(grant))));

describe('campaign', () => {
  it('emits none until it is elected, then the grant', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('--w--a---', places);
      expectObservable(tokensOf(campaign(scripted({ enter }, scheduler), 'e')), '^-------!').toBe('N----a', tokens);
      expectSubscriptions(enter.subscriptions).toBe('^-------!');
    });
  });

  it('emits none between two grants, the later of which has the greater token', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const backend = scripted({ enter: [cold('-a-#', places, gone), cold('b', places)] }, scheduler);
      expectObservable(tokensOf(campaign(backend, 'e')), '^-----!').toBe('Na-(Nb)', tokens);
    });
  });

  it('tells two grants apart by their tokens even when nothing came between them', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const backend = scripted({ enter: cold('-a-a-b', places) }, scheduler);
      expectObservable(tokensOf(campaign(backend, 'e')), '^---!').toBe('Na--', tokens);
      expectObservable(tokensOf(campaign(backend, 'e')), '^------!').toBe('Na---b', tokens);
    });
  });

  it('emits none before an error and before it completes', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const failing = scripted({ enter: cold('-a-#', places) }, scheduler);
      const ending = scripted({ enter: cold('-a-|', places) }, scheduler);
      expectObservable(tokensOf(campaign(failing, 'e'))).toBe('Na-(N#)', tokens);
      expectObservable(tokensOf(campaign(ending, 'e'))).toBe('Na-(N|)', tokens);
    });
  });

  it('gives a grant that names its election and asks its place', () => {
    virtually(({ scheduler }) => {
      let isValid = true;
      const place = placeOf(7n, true, () => isValid);
      let grant: Grant | undefined;
      campaign(scripted({ enter: of(place) }, scheduler), 'e').subscribe((option) => {
        grant = isSome(option) ? option.value : grant;
      });
      expect(grant).toMatchObject({ name: 'e', token: 7n, id: 'e7', signal: place.signal });
      expect(grant?.isValid()).toBe(true);
      isValid = false;
      expect(grant?.isValid()).toBe(false);
    });
  });

  it('errors with InvalidPayload, after a none, for data that cannot be encoded, and sends nothing', () => {
    virtually(({ scheduler, expectObservable, at }) => {
      const backend = scripted({}, scheduler);
      const error = expect.objectContaining({ _tag: 'InvalidPayload', subject: 'election "e"' });
      expectObservable(tokensOf(campaign(backend, 'e', { data: 1n }))).toBe('(N#)', tokens, error);
      at(1, () => expect(backend.calls).toEqual([]));
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      expect(() => campaign(scripted({}, scheduler), '\ud800')).toThrow(
        expect.objectContaining({ _tag: 'InvalidName' }),
      );
    });
  });

  it.each([
    [{ id: '\ud800' }, 'InvalidName', /name/],
    [{ holdDownMs: 5 }, 'InvalidOptions', /holdDownMs needs priority/],
    [{ takeOver: true }, 'InvalidOptions', /takeOver needs id/],
  ])('refuses %j at the call', (options, _tag, message) => {
    virtually(({ scheduler }) => {
      const refusal = expect.objectContaining({ _tag, message: expect.stringMatching(message) });
      expect(() => campaign(scripted({}, scheduler), 'e', options)).toThrow(refusal);
    });
  });

  it.each([[{ priority: 0, holdDownMs: 5 }], [{ id: 'a', takeOver: true }], [{ id: 'a' }], [{ takeOver: false }]])(
    'takes %j',
    (options) => {
      virtually(({ scheduler }) => {
        expect(() => campaign(scripted({}, scheduler), 'e', options)).not.toThrow();
      });
    },
  );
});

describe('campaign over a store', () => {
  it('aborts the signal and makes the grant invalid before none is emitted', () => {
    virtually(({ process, partition, at }) => {
      const backend = process();
      const log: unknown[] = [];
      let held: Grant | undefined;
      campaign(backend, 'e').subscribe((option) => {
        if (isSome(option)) {
          held = option.value;
          held.signal.addEventListener('abort', () => log.push('aborted'));
        } else log.push(['none', held?.isValid()]);
      });
      at(10, () => expect(held?.isValid()).toBe(true));
      at(50, () => partition(backend));
      at(133, () => expect(held?.isValid()).toBe(true));
      at(135, () => expect(log).toEqual([['none', undefined], 'aborted', ['none', false]]));
    });
  });

  it('has a greater token in each session', () => {
    virtually(({ process, expire, at }) => {
      const backend = process();
      const seen: bigint[] = [];
      campaign(backend, 'e').subscribe((option) => {
        if (isSome(option)) seen.push(option.value.token);
      });
      at(10, () => expire(backend));
      at(30, () => expire(backend));
      at(60, () => {
        expect(seen).toHaveLength(3);
        expect(seen).toEqual([...seen].sort((a, b) => (a < b ? -1 : 1)));
        expect(new Set(seen).size).toBe(3);
      });
    });
  });

  it('makes the grant of one who stepped down invalid, and aborts its signal', () => {
    virtually(({ process }) => {
      let held: Grant | undefined;
      const subscription = campaign(process(), 'e').subscribe((option) => {
        held = isSome(option) ? option.value : held;
      });
      expect([held?.isValid(), held?.signal.aborted]).toEqual([true, false]);
      subscription.unsubscribe();
      expect([held?.isValid(), held?.signal.aborted]).toEqual([false, true]);
    });
  });
});

describe('reentering', () => {
  const idle = scripted({}, new ManualTime());

  it('emits what stands for the loss at each loss, and subscribes again at once', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const place$ = cold('-a-#', undefined, gone);
      expectObservable(reentering(idle, place$, 'x'), '^-------!').toBe('-a-xa-xa-');
      expectSubscriptions(place$.subscriptions).toBe(['^--!', '---^--!', '------^-!']);
    });
  });

  it('passes any other error after the loss, and completion without it', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const failing = cold('-a-#', undefined, new UndecodablePayload('x'));
      const ending = cold('-a-|');
      expectObservable(reentering(idle, failing, 'x')).toBe('-a-(x#)', undefined, new UndecodablePayload('x'));
      expectObservable(reentering(idle, ending, 'x')).toBe('-a-|');
      expectSubscriptions(failing.subscriptions).toBe('^--!');
      expectSubscriptions(ending.subscriptions).toBe('^--!');
    });
  });

  it('completes, and does not go on for ever, when the place ends in peace after a loss', () => {
    virtually(({ cold, expectObservable }) => {
      const rounds = [cold('-#', undefined, gone), cold('-a|')];
      let round = 0;
      expectObservable(
        reentering(
          idle,
          defer(() => rounds[round++] ?? cold('#')),
          'x',
        ),
      ).toBe('-xa|');
    });
  });
});
