import { map } from 'rxjs';
import { describe, it } from 'vitest';
import type { Backend, Session } from '../../src/backends/backend.js';
import { AuthenticationFailed, SessionLost } from '../../src/backends/errors.js';
import { status } from '../../src/observables/session/status.js';
import { scripted, virtually } from '../support/virtual-time.js';

const cause = new SessionLost('s', 'it was not renewed in time', false);
const states: Record<string, Session> = {
  c: { state: 'connecting', attempt: 0 },
  l: { state: 'live', id: 's' },
  s: { state: 'suspended', id: 's' },
  x: { state: 'lost', id: 's', cause },
};
const told = { ...states, z: { state: 'closed' } };
const short = (backend: Backend) => status(backend).pipe(map(({ state }) => state));
const words = { c: 'connecting', l: 'live', s: 'suspended', x: 'lost', z: 'closed' };

describe('status', () => {
  it('tells the states of the session, then that the backend is closed', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const session$ = cold('c-l-s-l-(xc)-|', states);
      expectObservable(status(scripted({ session$ }, scheduler))).toBe('c-l-s-l-(xc)-(z|)', told);
      expectSubscriptions(session$.subscriptions).toBe('^ 12ms !');
    });
  });

  it('does not say closed after an error', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const error = new AuthenticationFailed('scripted', 'nowhere');
      const session$ = cold('c-#', states, error);
      expectObservable(status(scripted({ session$ }, scheduler))).toBe('c-#', told, error);
    });
  });

  it('says closed at once where the backend is, and nothing where the session says nothing', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const session$ = cold<Session>('-');
      const backend = scripted({ session$ }, scheduler);
      expectObservable(status(scripted({ session$: cold('|') }, scheduler))).toBe('(z|)', told);
      expectObservable(status(backend), '^--!').toBe('');
      expectObservable(status(backend), '---^--!').toBe('');
      expectSubscriptions(session$.subscriptions).toBe(['^--!', '---^--!']);
    });
  });
});

describe('status over a store', () => {
  it('tells a break that heals as suspended and live', () => {
    virtually(({ process, partition, heal, at, expectObservable }) => {
      const backend = process();
      at(50, () => partition(backend));
      at(70, () => heal(backend));
      expectObservable(short(backend), '^ 299ms !').toBe('l 49ms s 19ms l', words);
    });
  });

  it('tells the loss at the deadline, the new attempt and the new session', () => {
    virtually(({ process, partition, at, expectObservable }) => {
      const backend = process();
      at(50, () => partition(backend));
      expectObservable(short(backend), '^ 299ms !').toBe('l 49ms s 83ms (xc) 1ms l', words);
    });
  });

  it('tells the loss that the store tells', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const backend = process();
      at(50, () => expire(backend));
      expectObservable(short(backend), '^ 299ms !').toBe('l 49ms (xc) 1ms l', words);
    });
  });

  it('says closed, once, to all, also to those who come later', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      at(10, () => void backend.close());
      expectObservable(short(backend)).toBe('l 9ms (z|)', words);
      expectObservable(short(backend), '20ms ^').toBe('20ms (z|)', words);
    });
  });

  it('keeps the session when one stops looking', () => {
    virtually(({ process, expectObservable }) => {
      const backend = process();
      const ids = new Set<string>();
      const id = status(backend).pipe(map((one) => ('id' in one ? ids.add(one.id).size : 0)));
      expectObservable(id, '^--!').toBe('a', { a: 1 });
      expectObservable(id, '400ms ^ 5ms !').toBe('400ms a', { a: 1 });
    });
  });
});
