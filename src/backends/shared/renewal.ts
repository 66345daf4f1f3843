import { type Expectation, number, oneOf } from './expectations.js';
import type { BackendOptions } from './options.js';

/** Options of backends whose session can be renewed off the event loop. */
export interface RenewalOptions {
  /**
   * Where the session is renewed. `thread`: in a worker thread, which has the connections, too. So what is held stays held
   * while the event loop is blocked, by a long computation for one, and `isValid()` says so without asking anybody. `loop`,
   * the default: on the event loop, and who blocks it for longer than the ttl loses what it holds. With `thread`, `scheduler`
   * must not be given, nor anything that cannot be handed to another thread: functions, clients. Not in bundles, unless
   * conclave stays outside of them.
   */
  readonly renewal?: 'loop' | 'thread' | undefined;
  /**
   * With `renewal: 'thread'`: how long the event loop may be blocked before the thread renews no longer. What is held is then
   * lost one ttl later at the latest, and others are admitted. Default 60,000.
   */
  readonly maxStallMs?: number | undefined;
}

/** The default of `maxStallMs`. */
export const MAX_STALL_MS = 60_000;

/** What these options must be. */
export const RENEWAL: Readonly<Record<keyof RenewalOptions, Expectation>> = {
  renewal: oneOf('loop', 'thread'),
  maxStallMs: number(1, 2 ** 31 - 1),
};

/** How they stand in a URL. */
export const RENEWAL_IN_URL = { renewal: 'text', maxStallMs: 'number' } as const;

/**
 * One sentence for each option that cannot be had in another thread. `here` names those that the adapter makes no use of,
 * so that they need not go there.
 */
export function renewalViolations(
  options: RenewalOptions & Pick<BackendOptions, 'scheduler'>,
  here: readonly string[] = ['codec'],
): string[] {
  const { renewal, maxStallMs, scheduler, ...others } = options;
  if (renewal !== 'thread')
    return maxStallMs === undefined
      ? []
      : ["maxStallMs must not be given without renewal: 'thread', which it is about"];
  const crossing = Object.entries(others).filter(([name]) => !here.includes(name));
  return [
    ...(scheduler === undefined
      ? []
      : [
          "scheduler must not be given beside renewal: 'thread': a clock of one's own cannot be handed to another thread",
        ]),
    ...crossing.flatMap(([name, value]) => strangers(name, value)).map(refused),
  ];
}

function refused([path, what]: Stranger): string {
  return `${path} must not be given beside renewal: 'thread': it is ${what}, which cannot be handed to another thread`;
}

type Stranger = readonly [path: string, what: string];

/** What of a value cannot be copied into another thread. */
function strangers(path: string, value: unknown): Stranger[] {
  if (typeof value === 'function' || typeof value === 'symbol') return [[path, `a ${typeof value}`]];
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  if (!Array.isArray(value) && !isPlain(value)) return [[path, 'an object of a class']];
  return Object.entries(value).flatMap(([name, each]) => strangers(`${path}.${name}`, each));
}

/** Also one of another realm, as in Jest. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
