import { defer, of, ReplaySubject, share, tap } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { AuthenticationFailed, PlaceLost } from '../../src/backends/errors.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { placeOf, scripted, virtually } from '../support/virtual-time.js';

const leads = { f: false, t: true };
const places = { w: placeOf(1n, false), a: placeOf(1n), b: placeOf(2n) };
const gone = new PlaceLost('election "e"', 'session lost');
const refused = new AuthenticationFailed('scripted', 'nowhere');

describe('leadership', () => {
  it('is false until elected', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('--w--a---', places);
      expectObservable(leadership(scripted({ enter }, scheduler), 'e'), '^-------!').toBe('f----t---', leads);
      expectSubscriptions(enter.subscriptions).toBe('^-------!');
    });
  });

  it('is false for ever while the store says nothing', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold<typeof places.a>('-');
      expectObservable(leadership(scripted({ enter }, scheduler), 'e'), '^-------!').toBe('f', leads);
      expectSubscriptions(enter.subscriptions).toBe('^-------!');
    });
  });

  it('turns false and stands again at once when the place is lost', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const first = cold('--a---#', places, gone);
      const second = cold('     --w-b--', places);
      const backend = scripted({ enter: [first, second] }, scheduler);
      expectObservable(leadership(backend, 'e'), '^ 13ms !').toBe('f-t---f---t---', leads);
      expectSubscriptions(first.subscriptions).toBe('^-----!');
      expectSubscriptions(second.subscriptions).toBe('------^-------!');
    });
  });

  it('does not repeat false when the place was lost before it was elected', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const lost = cold('--w#', places, gone);
      const backend = scripted({ enter: [lost, lost, cold('-a', places)] }, scheduler);
      expectObservable(leadership(backend, 'e'), '^ 9ms !').toBe('f------t', leads);
      expectSubscriptions(lost.subscriptions).toBe(['^--!', '---^--!']);
    });
  });

  it('does not repeat true when the place is told again', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      expectObservable(leadership(scripted({ enter: cold('-a-a-', places) }, scheduler), 'e'), '^----!').toBe(
        'ft',
        leads,
      );
    });
  });

  it('turns false when a store takes admission back', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const backend = scripted({ enter: cold('-a-w-a', places) }, scheduler);
      expectObservable(leadership(backend, 'e'), '^------!').toBe('ft-f-t', leads);
    });
  });

  it('says false before any error', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a-#', places, refused);
      expectObservable(leadership(scripted({ enter }, scheduler), 'e')).toBe('ft-(f#)', leads, refused);
      expectSubscriptions(enter.subscriptions).toBe('^--!');
    });
  });

  it('says false once before an error that comes before it was elected', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const backend = scripted({ enter: cold('---#', places, refused) }, scheduler);
      expectObservable(leadership(backend, 'e')).toBe('f--#', leads, refused);
    });
  });

  it('says false before it completes', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a-|', places);
      expectObservable(leadership(scripted({ enter }, scheduler), 'e')).toBe('ft-(f|)', leads);
      expectSubscriptions(enter.subscriptions).toBe('^--!');
    });
  });

  it('completes with a place that ends without a word', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const backend = scripted({ enter: cold<typeof places.a>('|') }, scheduler);
      expectObservable(leadership(backend, 'e')).toBe('(f|)', leads);
    });
  });

  it('steps down when unsubscribed from early, and stands anew when subscribed to again', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a-', places);
      const backend = scripted({ enter }, scheduler);
      const leads$ = leadership(backend, 'e');
      expectObservable(leads$, '^--!').toBe('ft', leads);
      expectObservable(leads$, '-----^--!').toBe('-----ft', leads);
      expectSubscriptions(enter.subscriptions).toBe(['^--!', '-----^--!']);
    });
  });

  it('stands exclusively for one place, with its data', () => {
    virtually(({ scheduler, at }) => {
      const backend = scripted({}, scheduler);
      leadership(backend, 'e', { data: { zone: 'a' } }).subscribe();
      at(1, () => {
        expect(backend.calls).toEqual(['enter election e']);
        expect(backend.requests).toEqual([
          { mode: 'exclusive', permits: 1, payload: new TextEncoder().encode('{"zone":"a"}') },
        ]);
      });
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      const backend = scripted({}, scheduler);
      expect(() => leadership(backend, '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
      expect(backend.calls).toEqual([]);
    });
  });
});

describe('leadership over a store', () => {
  it('PartitionLongerThanTtlDoesNotCauseTwoLeaders: false comes before the rival is elected', () => {
    virtually(({ process, partition, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      expectObservable(leadership(first, 'e'), '^ 299ms !').toBe('(ft) 130ms f', leads);
      expectObservable(leadership(second, 'e'), '^ 299ms !').toBe('f 139ms t', leads);
      // Proved at 40: given up at 40 + 94, expired by the store at 40 + 100.
      at(50, () => partition(first));
    });
  });

  it('leads again when the rival leaves, after it has lost its session', () => {
    virtually(({ process, partition, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      expectObservable(leadership(first, 'e'), '^ 299ms !').toBe('(ft) 130ms f 65ms t', leads);
      expectObservable(leadership(second, 'e'), '^ 199ms !').toBe('f 139ms t', leads);
      at(50, () => partition(first));
    });
  });

  it('keeps leading through a partition that heals before the deadline', () => {
    virtually(({ process, partition, heal, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      expectObservable(leadership(first, 'e'), '^ 499ms !').toBe('(ft)', leads);
      expectObservable(leadership(second, 'e'), '^ 498ms !').toBe('f', leads);
      at(50, () => partition(first));
      at(130, () => heal(first));
    });
  });

  it('gives up at once where giveUpAt is suspended, and the store is told when it can be', () => {
    virtually(({ process, partition, heal, at, expectObservable }) => {
      const [first, second] = [process({ giveUpAt: 'suspended' }), process()];
      expectObservable(leadership(first, 'e'), '^ 99ms !').toBe('(ft) 46ms f', leads);
      expectObservable(leadership(second, 'e'), '^ 299ms !').toBe('f 139ms t', leads);
      at(50, () => partition(first));
      at(60, () => heal(first));
    });
  });

  it('hands over at once when it steps down', () => {
    virtually(({ process, expectObservable }) => {
      const [first, second, third] = [process(), process(), process()];
      expectObservable(leadership(first, 'e'), '^ 9ms !').toBe('(ft)', leads);
      expectObservable(leadership(second, 'e'), '^ 19ms !').toBe('f 9ms t', leads);
      expectObservable(leadership(third, 'e'), '^ 29ms !').toBe('f 19ms t', leads);
    });
  });

  it('hands over within the ttl when its owner dies', () => {
    virtually(({ process, partition, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      leadership(first, 'e').subscribe();
      at(39, () => partition(first));
      expectObservable(leadership(second, 'e'), '^ 299ms !').toBe('f 119ms t', leads);
    });
  });

  it('turns false when the store has expired the session, before anybody else is elected', () => {
    virtually(({ process, expire, at }) => {
      const [first, second] = [process(), process()];
      const log: string[] = [];
      leadership(first, 'e').subscribe((isLeader) => log.push(`first ${isLeader}`));
      leadership(second, 'e').subscribe((isLeader) => log.push(`second ${isLeader}`));
      at(30, () => expire(first));
      at(100, () => expect(log).toEqual(['first false', 'first true', 'second false', 'first false', 'second true']));
    });
  });

  it('keeps elections of different names and namespaces apart', () => {
    virtually(({ process, expectObservable }) => {
      const [first, second] = [process(), process({ namespace: 'other' })];
      expectObservable(leadership(first, 'e'), '^---!').toBe('(ft)', leads);
      expectObservable(leadership(first, 'f'), '^---!').toBe('(ft)', leads);
      expectObservable(leadership(second, 'e'), '^---!').toBe('(ft)', leads);
      expectObservable(leadership(first, 'e'), '^--!').toBe('f--', leads);
    });
  });

  it('is one candidate for all who share it, with the last word for whoever comes later', () => {
    virtually(({ process, expectObservable }) => {
      const [backend, rival] = [process(), process()];
      let candidacies = 0;
      const shared$ = defer(() => {
        candidacies++;
        return leadership(backend, 'e');
      }).pipe(share({ connector: () => new ReplaySubject(1), resetOnRefCountZero: true }));
      expectObservable(shared$, '^--------!').toBe('(ft)', leads);
      expectObservable(shared$, '---^--------!').toBe('---t', leads);
      expectObservable(leadership(rival, 'e'), '^------------------!').toBe('f-----------t', leads);
      expectObservable(
        defer(() => of(candidacies)),
        '-----------^',
      ).toBe('-----------(a|)', { a: 1 });
    });
  });

  it('says false, completes and hands over when the backend is closed', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      at(10, () => void first.close());
      expectObservable(leadership(first, 'e')).toBe('(ft) 6ms (f|)', leads);
      expectObservable(leadership(second, 'e'), '^ 19ms !').toBe('f 9ms t', leads);
    });
  });

  it('completes when the backend is closed by who is told of the loss', () => {
    virtually(({ process, at, expire, expectObservable }) => {
      const backend = process();
      let led = false;
      const closing$ = leadership(backend, 'e').pipe(
        tap((isLeader) => {
          if (led && !isLeader) void backend.close();
          led = isLeader;
        }),
      );
      at(10, () => expire(backend));
      expectObservable(closing$).toBe('(ft) 6ms (f|)', leads);
    });
  });

  it('refuses to stand on a closed backend, after a false', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      at(1, () => void backend.close());
      const output = defer(() => leadership(backend, 'e'));
      const error = expect.objectContaining({ _tag: 'BackendClosed' });
      expectObservable(output, '--^').toBe('--(f#)', leads, error);
    });
  });

  it('never says the same twice in a row, whatever happens to the session', () => {
    virtually(({ process, expire, partition, heal, at, scheduler }) => {
      const backend = process();
      const log: boolean[] = [];
      leadership(backend, 'e').subscribe((isLeader) => log.push(isLeader));
      for (let frame = 20; frame < 400; frame += 40)
        at(frame, () => {
          try {
            if (frame % 120 === 20) expire(backend);
            else if (frame % 80 === 20) partition(backend);
            else heal(backend);
          } catch {
            // No session is open at the moment.
          }
        });
      at(800, () => {
        expect(scheduler.now()).toBe(800);
        expect(log.length).toBeGreaterThan(4);
        expect(log.filter((isLeader, i) => isLeader === log[i - 1])).toEqual([]);
        expect(log.at(-1)).toBe(true);
      });
    });
  });

  it('starts a candidacy of its own for each subscription', () => {
    virtually(({ process, expectObservable }) => {
      const leads$ = leadership(process(), 'e');
      expectObservable(leads$, '^---!').toBe('(ft)', leads);
      expectObservable(leads$, '^------!').toBe('f---t', leads);
    });
  });
});
