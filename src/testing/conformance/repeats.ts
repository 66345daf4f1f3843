import { type Backend, type Expected, lock } from 'conclave';
import { firstValueFrom, lastValueFrom, map, type Observable } from 'rxjs';
import { expect } from 'vitest';
import type { Probe } from './probe.js';
import type { Link } from './quirks.js';
import { bytes, type Stage, type Suite, textOf } from './stage.js';

/** Names whatever is written here, so that its request is known on its way. */
export const marker = 'the-marker';
const roster = { kind: 'group', name: marker } as const;

/** A write, told from its repetition by nothing but its id. */
export interface Write {
  readonly what: string;
  /** What must be so before. */
  prepare?(backend: Backend): Promise<unknown>;
  /** Emits whether it has done what was asked. */
  send(backend: Backend, before: bigint | undefined): Observable<boolean>;
  /** What others make of it, once it has been carried out. */
  readonly undone: { readonly [how: string]: (others: Backend) => Promise<unknown> };
}

const put = (backend: Backend, value: string | undefined, expected: Expected = 'any'): Promise<boolean> =>
  lastValueFrom(swapped(backend, value, expected));
const swapped = (backend: Backend, value: string | undefined, expected: Expected): Observable<boolean> =>
  backend.swap(marker, expected, value === undefined ? undefined : bytes(value)).pipe(map(({ swapped }) => swapped));
const register = (backend: Backend): Promise<boolean> => lastValueFrom(backend.register(roster));
const unregister = (backend: Backend): Promise<unknown> => lastValueFrom(backend.unregister(roster));

const ofAnExistingValue = {
  'written over': (others: Backend) => put(others, 'theirs'),
  deleted: (others: Backend) => put(others, undefined),
  'deleted and made anew': async (others: Backend) => {
    await put(others, undefined);
    await put(others, 'theirs', 'absent');
  },
};
const ofAnAbsentValue = {
  'made anew': (others: Backend) => put(others, 'theirs', 'absent'),
  'made anew and deleted': async (others: Backend) => {
    await put(others, 'theirs', 'absent');
    await put(others, undefined);
  },
};

export const writes: readonly Write[] = [
  {
    what: 'a value written whatever there was',
    prepare: (backend) => put(backend, 'before'),
    send: (backend) => swapped(backend, 'mine', 'any'),
    undone: ofAnExistingValue,
  },
  {
    what: 'a value written where there was none',
    send: (backend) => swapped(backend, 'mine', 'absent'),
    undone: ofAnExistingValue,
  },
  {
    what: 'a value written over a version',
    prepare: (backend) => put(backend, 'before'),
    send: (backend, before) => swapped(backend, 'mine', before ?? 0n),
    undone: ofAnExistingValue,
  },
  {
    what: 'a deletion of whatever there was',
    prepare: (backend) => put(backend, 'before'),
    send: (backend) => swapped(backend, undefined, 'any'),
    undone: ofAnAbsentValue,
  },
  {
    what: 'a deletion of a version',
    prepare: (backend) => put(backend, 'before'),
    send: (backend, before) => swapped(backend, undefined, before ?? 0n),
    undone: ofAnAbsentValue,
  },
  {
    what: 'a registration',
    send: (backend) => backend.register(roster),
    undone: {
      'taken back': unregister,
      'taken back and made anew': async (others) => {
        await unregister(others);
        await register(others);
      },
    },
  },
  {
    what: 'the end of a registration',
    prepare: register,
    send: (backend) => backend.unregister(roster).pipe(map((outcome) => outcome === 'removed')),
    undone: {
      'made anew': register,
      'made anew and ended': async (others) => {
        await register(others);
        await unregister(others);
      },
    },
  },
];

export function repeatedCases({ hazard }: Suite): void {
  for (const write of writes) {
    for (const [how, undo] of Object.entries(write.undone)) {
      hazard(`${write.what}, unanswered and ${how} since, is known when repeated and undoes nothing`, async (stage) => {
        const { link, backend, outcome } = await sent(stage, write, (way, before) =>
          unanswered(way, () => changed(stage, before)),
        );
        await undo(stage.watcher);
        const theirs = await stateOf(stage.watcher);
        await link.reset();
        expect(await outcome.first('the outcome')).toBe(true);
        expect(await stateOf(stage.watcher)).toEqual(theirs);
        expect(await stateOf(backend)).toEqual(theirs);
      });
    }
  }

  hazard('an eviction, unanswered, is known when repeated', async (stage) => {
    const { held, grant } = await stage.hold(stage.backend(), 'ledger');
    const link = await stage.link();
    const backend = overSlow(stage, link);
    await warm(stage, backend);
    const isEvicted = unanswered(link, () => held.failure('it was evicted'));
    const outcome = stage.probe(backend.evict({ kind: 'lock', name: 'ledger' }, grant.id));
    await isEvicted;
    await stage.probe(lock(stage.watcher, 'ledger')).first('the lock for another');
    await link.reset();
    expect(await outcome.first('the outcome')).toBe(true);
    expect(await stage.entries('ledger')).toHaveLength(1);
  });
}

/** Long enough for whoever sees a change to do something before its author is told, more than once. */
const answerMs = 300;

const overSlow = (stage: Stage, link: Link): Backend =>
  stage.over(link, { requestTimeoutMs: Math.max(0.5 * stage.options.ttlMs, 3 * answerMs) });

/** Loses the answer to what is asked now, and to nothing that it takes to ask it. */
async function unanswered(link: Link, happened: () => Promise<unknown>): Promise<void> {
  link.delayReplies(answerMs);
  await happened();
  link.mute();
}

/** Holds a lock, and has asked for everything once: a first request of its kind may take more than one message. */
export async function warm(stage: Stage, backend: Backend): Promise<void> {
  const other = { kind: 'group', name: 'warm' } as const;
  await stage.hold(backend, 'warm');
  await lastValueFrom(backend.register(other));
  await lastValueFrom(backend.unregister(other));
  await lastValueFrom(backend.swap('warm', 'any', bytes('')));
  await lastValueFrom(backend.evict(other, 'nobody'));
}

/** A write on its way over a link of its own, to which something happens. */
export async function sent<T>(
  stage: Stage,
  write: Write,
  happens: (link: Link, before: State) => Promise<T>,
): Promise<{
  readonly link: Link;
  readonly backend: Backend;
  readonly outcome: Probe<boolean>;
  readonly happened: T;
}> {
  const link = await stage.link();
  const backend = overSlow(stage, link);
  await warm(stage, backend);
  await write.prepare?.(stage.watcher);
  const before = await stateOf(stage.watcher);
  const happened = happens(link, before);
  const outcome: Probe<boolean> = stage.probe(write.send(backend, before.version));
  return { link, backend, outcome, happened: await happened };
}

interface State {
  readonly value: string | undefined;
  readonly version: bigint | undefined;
  readonly isRegistered: boolean;
}

/** What the writes change. */
export async function stateOf(backend: Backend): Promise<State> {
  const cell = await firstValueFrom(backend.cell(marker));
  const names = await firstValueFrom(backend.registered(roster.kind));
  return { value: cell && textOf(cell.value), version: cell?.version, isRegistered: names.has(marker) };
}

/** Waits until the store has carried the write out, seen from outside. */
async function changed(stage: Stage, { version, isRegistered }: State): Promise<void> {
  const cell = stage.probe(stage.watcher.cell(marker));
  const names = stage.probe(stage.watcher.registered(roster.kind));
  await Promise.race([
    cell.now((now) => now?.version !== version, 'the change of the value'),
    names.now((now) => now.has(marker) !== isRegistered, 'the change of the registrations'),
  ]);
  cell.unsubscribe();
  names.unsubscribe();
}
