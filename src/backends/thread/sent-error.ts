import * as errors from '../errors.js';

/** An error on its way from one thread to another: copying one by itself would leave it without its class. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** What it says besides. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly cause?: Sent;
}

/** What was thrown, whatever it is. */
type Sent = { readonly error: SentError } | { readonly value: unknown };

/** Errors may hold each other, or be made so as to hold everything. */
const DEEPEST = 8;

export function sentError(thrown: unknown): SentError {
  const sent = sentOf(thrown, DEEPEST);
  return 'error' in sent ? sent.error : { name: 'Error', message: String(sent.value), stack: undefined, fields: {} };
}

function sentOf(thrown: unknown, depth: number): Sent {
  if (!(thrown instanceof Error)) return { value: plain(thrown, depth) };
  const { name, message, stack, cause } = thrown;
  const own = Object.entries(thrown).filter(([field]) => !['name', 'message', 'stack', 'cause'].includes(field));
  const fields = Object.fromEntries(own.map(([field, value]) => [field, plain(value, depth - 1)]));
  return {
    error: {
      name,
      message,
      stack,
      fields,
      ...(cause !== undefined && depth > 0 && { cause: sentOf(cause, depth - 1) }),
    },
  };
}

/** What can be copied of a value; of anything else, what it is called. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  if (typeof value !== 'object' || value === null) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();
  if (value instanceof Date) return value;
  if (depth <= 0) return 'an object';
  if (value instanceof Error) return { [ERROR]: sentError(value) };
  if (Array.isArray(value)) return value.map((each) => plain(each, depth - 1));
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each, depth - 1)]));
}

/** Marks an error within a field. */
const ERROR = '$error';

/** The error again, of its own class where that is one of this library's. */
export function receivedError({ name, message, stack, fields, cause }: SentError): Error {
  const error = new Error(
    message,
    cause && { cause: 'error' in cause ? receivedError(cause.error) : revived(cause.value) },
  );
  const known = classOf(fields['_tag']);
  if (known !== undefined) Object.setPrototypeOf(error, known.prototype);
  for (const [field, value] of Object.entries(fields)) define(error, field, revived(value), true);
  define(error, 'name', name, known !== undefined);
  if (stack !== undefined) define(error, 'stack', stack, false);
  return error;
}

function define(error: Error, field: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, field, { value, enumerable, configurable: true, writable: true });
}

function revived(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || value instanceof Date) return value;
  if (Array.isArray(value)) return value.map(revived);
  if (ERROR in value) return receivedError(value[ERROR] as SentError);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, revived(each)]));
}

function classOf(tag: unknown): { readonly prototype: object } | undefined {
  const found = Object.entries(errors).find(([name]) => name === tag)?.[1];
  return found !== undefined && found.prototype instanceof errors.CoordinationError ? found : undefined;
}
