import type { Redis } from 'ioredis';

/** What reads the replies of one connection in ioredis 6. */
interface DataHandler {
  readonly redis: Redis;
  dispatch(read: () => void): void;
  returnFatalError(error: unknown): void;
}

const ours = new WeakSet<Redis>();
const guarded = new WeakSet<object>();

/**
 * Makes rubbish in a reply break the connection of a guarded client. ioredis throws what its own reading stumbles over
 * where nobody can catch it, which would end the process. Clients that are not ours go on as they did.
 */
export async function guardReplies(): Promise<void> {
  const handler = await dataHandler();
  if (handler === undefined || guarded.has(handler)) return;
  guarded.add(handler);
  const { dispatch } = handler;
  handler.dispatch = function (this: DataHandler, read: () => void): void {
    if (!ours.has(this.redis)) {
      dispatch.call(this, read);
      return;
    }
    try {
      read();
    } catch (error) {
      this.returnFatalError(error);
    }
  };
}

export function guardedClient(client: Redis): Redis {
  ours.add(client);
  return client;
}

/** `undefined` in a version of ioredis that reads its replies elsewhere. */
async function dataHandler(): Promise<DataHandler | undefined> {
  const module: { readonly default?: unknown } | undefined = await import(
    /* webpackIgnore: true */ 'ioredis/built/DataHandler.js'
  ).catch(() => undefined);
  // As Node imports it, what it exports by default stands one deeper.
  const found = [module, module?.default].map((exports) => defaultOf(exports)).find((it) => typeof it === 'function');
  const prototype: unknown = found?.prototype;
  return isDataHandler(prototype) ? prototype : undefined;
}

function defaultOf(exports: unknown): unknown {
  return typeof exports === 'object' && exports !== null && 'default' in exports ? exports.default : undefined;
}

function isDataHandler(value: unknown): value is DataHandler {
  return typeof value === 'object' && value !== null && 'dispatch' in value && 'returnFatalError' in value;
}
