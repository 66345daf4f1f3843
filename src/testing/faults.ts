import { check, checkAll, type Expectation, FLAG, number, TEXT } from '../backends/shared/expectations.js';

/** Requests whose reply can be lost. */
export type Losable = 'enter' | 'leave' | 'renew' | 'evict' | 'create' | 'delete' | 'write a cell';

/** Something that goes wrong, or is put right, at one moment. Made by the functions of this module. */
export type Fault =
  | { readonly kind: 'partition'; readonly process: string; readonly forMs: number | undefined }
  | { readonly kind: 'heal'; readonly process: string }
  | { readonly kind: 'pause'; readonly process: string; readonly forMs: number }
  | { readonly kind: 'suspend'; readonly process: string; readonly forMs: number }
  | { readonly kind: 'expireSession'; readonly process: string }
  | { readonly kind: 'crash'; readonly process: string }
  | { readonly kind: 'deploy'; readonly process: string; readonly drainMs: number | undefined }
  | { readonly kind: 'restartStore'; readonly keepData: boolean; readonly forMs: number }
  | { readonly kind: 'loseReply'; readonly process: string; readonly of: Losable }
  | { readonly kind: 'delay'; readonly process: string; readonly ms: number; readonly forMs: number | undefined }
  | { readonly kind: 'jumpClock'; readonly process: string; readonly byMs: number };

/** The name of a kind of fault, as its function is called. */
export type FaultKind = Fault['kind'];

/** What is lost with `loseReply`. */
export const LOSABLE: readonly Losable[] = ['enter', 'leave', 'renew', 'evict', 'create', 'delete', 'write a cell'];

const MS = number(0, Number.MAX_SAFE_INTEGER);
const OF: Expectation = [LOSABLE.join(', '), (value) => LOSABLE.some((known) => known === value)];

/** What each kind of fault must have. */
const FIELDS: Readonly<Record<FaultKind, Readonly<Record<string, Expectation>>>> = {
  partition: { process: TEXT, forMs: MS },
  heal: { process: TEXT },
  pause: { process: TEXT, forMs: MS },
  suspend: { process: TEXT, forMs: MS },
  expireSession: { process: TEXT },
  crash: { process: TEXT },
  deploy: { process: TEXT, drainMs: number(0, 2 ** 31 - 1) },
  restartStore: { keepData: FLAG, forMs: MS },
  loseReply: { process: TEXT, of: OF },
  delay: { process: TEXT, ms: MS, forMs: MS },
  jumpClock: { process: TEXT, byMs: number(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) },
};
/** What may be left out. */
const OPTIONAL: Partial<Readonly<Record<FaultKind, string>>> = {
  partition: 'forMs',
  delay: 'forMs',
  deploy: 'drainMs',
};

/** Every kind of fault. */
export const KINDS = Object.keys(FIELDS) as readonly FaultKind[];
const KIND: Expectation = [`one of ${KINDS.join(', ')}`, (value) => KINDS.some((known) => known === value)];

/** Throws `InvalidOptions` for what is no fault, or one that could not happen as it says. */
export function checkFault(fault: Fault): void {
  check(fault, { kind: KIND }, ['kind']);
  const fields = FIELDS[fault.kind];
  checkAll(
    fault,
    { kind: KIND, ...fields },
    Object.keys(fields).filter((field) => field !== OPTIONAL[fault.kind]),
  );
}

function checked(fault: Fault): Fault {
  checkFault(fault);
  return fault;
}

/** Cuts a process off from the store: no request and no reply arrives. For `forMs`, or until `heal`. */
export function partition(process: string, forMs?: number): Fault {
  return checked({ kind: 'partition', process, forMs });
}

/** Ends `partition` and `delay` of a process; it connects again. */
export function heal(process: string): Fault {
  return checked({ kind: 'heal', process });
}

/** Stops a process for `forMs`: nothing of it runs, and what was due meanwhile runs late. */
export function pause(process: string, forMs: number): Fault {
  return checked({ kind: 'pause', process, forMs });
}

/**
 * Suspends the machine of a process for `forMs`: nothing of it runs, its monotonic clock stands, and its timers are late
 * by as much. Its wall clock goes on.
 */
export function suspend(process: string, forMs: number): Fault {
  return checked({ kind: 'suspend', process, forMs });
}

/**
 * Ends a process's session in the store, as an administrator would. Its owner is told, which takes the latency of the
 * connection: until then another one may be admitted, and only tokens protect.
 */
export function expireSession(process: string): Fault {
  return checked({ kind: 'expireSession', process });
}

/** Kills a process: nothing of it ever runs again. `backend(name)` starts it anew. */
export function crash(process: string): Fault {
  return checked({ kind: 'crash', process });
}

/**
 * Tells a process to end, as `closeOnSignals` does when it is deployed anew: its backend drains for `drainMs`, and closes.
 * Then nothing of it runs any more, and `backend(name)` starts it anew.
 */
export function deploy(process: string, drainMs?: number): Fault {
  return checked({ kind: 'deploy', process, drainMs });
}

/** How the store comes back. */
export interface RestartOptions {
  /** `false`: everything but the tokens is forgotten. */
  readonly keepData: boolean;
  /** How long the store is away. Default 100. */
  readonly forMs?: number;
}

/** Ends the store, and starts it again. */
export function restartStore(options: RestartOptions): Fault {
  checkAll(options, { keepData: FLAG, forMs: MS }, ['keepData']);
  const { keepData, forMs = 100 } = options;
  return checked({ kind: 'restartStore', keepData, forMs });
}

/** The next such request of a process is carried out, but its reply never arrives. */
export function loseReply(process: string, of: Losable): Fault {
  return checked({ kind: 'loseReply', process, of });
}

/** Each message between a process and the store takes `ms` longer. For `forMs`, or until `heal`, or the next `delay`. */
export function delay(process: string, ms: number, forMs?: number): Fault {
  return checked({ kind: 'delay', process, ms, forMs });
}

/** Sets a process's wall clock forward, or back where `byMs` is negative. */
export function jumpClock(process: string, byMs: number): Fault {
  return checked({ kind: 'jumpClock', process, byMs });
}

/** The call that makes a fault, as one would write it. */
export function callOf(fault: Fault): string {
  const call = (...args: readonly unknown[]): string =>
    `${fault.kind}(${args
      .filter((arg) => arg !== undefined)
      .map(literal)
      .join(', ')})`;
  switch (fault.kind) {
    case 'partition':
    case 'pause':
    case 'suspend':
      return call(fault.process, fault.forMs);
    case 'deploy':
      return call(fault.process, fault.drainMs);
    case 'restartStore':
      return `restartStore({ keepData: ${fault.keepData}, forMs: ${fault.forMs} })`;
    case 'loseReply':
      return call(fault.process, fault.of);
    case 'delay':
      return call(fault.process, fault.ms, fault.forMs);
    case 'jumpClock':
      return call(fault.process, fault.byMs);
    default:
      return call(fault.process);
  }
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value);
}
