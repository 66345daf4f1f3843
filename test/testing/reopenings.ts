import { setImmediate } from 'node:timers/promises';
import type { Backend } from '../../src/backends/backend.js';
import { memory } from '../../src/backends/memory/index.js';
import { leadership } from '../../src/index.js';
import { InvariantBroken } from '../../src/testing/explore.js';
import { randomFrom } from '../../src/testing/random.js';

/** One of several backends on a store of one name, which leads or does not. */
interface User {
  readonly backend: Backend;
  leads: boolean;
}

/**
 * Opens and closes backends on one named memory store in random order, some of them once more on being told of the end:
 * whoever comes shares the store with whoever is there, so at most one leads.
 */
export async function reopenings({ seed, seeds }: { readonly seed: number; readonly seeds: number }): Promise<void> {
  for (let at = seed; at < seed + seeds; at++) {
    const random = randomFrom(at);
    const name = `reopened ${at}`;
    const users = new Set<User>();
    const open = (): void => {
      const user: User = { backend: memory({ store: name }), leads: false };
      users.add(user);
      const closesAgain = random() < 0.5;
      leadership(user.backend, 'e').subscribe({
        next: (leads) => {
          user.leads = leads;
        },
        complete: () => {
          if (closesAgain) void user.backend.close();
        },
      });
    };
    const history: string[] = [];
    for (let step = 0; step < 8; step++) {
      const [oldest] = users;
      if (oldest === undefined || random() < 0.6) {
        history.push('open');
        open();
      } else {
        history.push('close');
        users.delete(oldest);
        await oldest.backend.close();
        await setImmediate();
      }
      const leaders = [...users].filter(({ leads }) => leads).length;
      if (leaders > 1) {
        const reason = `${leaders} lead on one store`;
        for (const { backend } of users) await backend.close();
        throw new InvariantBroken(
          at,
          reason,
          step,
          [],
          history,
          `Seed ${at} breaks it: ${reason}: ${history.join(', ')}`,
        );
      }
    }
    for (const { backend } of users) await backend.close();
  }
}
