import { createRequire } from 'node:module';
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
 * Makes rubbish in a reply break this client's connection. ioredis throws what its own reading stumbles over where nobody
 * can catch it, which would end the process. Clients that are not ours go on as they did.
 */
export function guardedClient(client: Redis): Redis {
  const handler = dataHandler();
  if (handler !== undefined && !guarded.has(handler)) {
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
  ours.add(client);
  return client;
}

/** `undefined` in a version of ioredis that reads its replies elsewhere. */
function dataHandler(): DataHandler | undefined {
  try {
    const module: unknown = createRequire(import.meta.url)('ioredis/built/DataHandler');
    const found = typeof module === 'object' && module !== null && 'default' in module ? module.default : undefined;
    const prototype: unknown = typeof found === 'function' ? found.prototype : undefined;
    return isDataHandler(prototype) ? prototype : undefined;
  } catch {
    return undefined;
  }
}

function isDataHandler(value: unknown): value is DataHandler {
  return typeof value === 'object' && value !== null && 'dispatch' in value && 'returnFatalError' in value;
}
