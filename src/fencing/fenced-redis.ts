import { defer, type Observable } from 'rxjs';
import { InvalidOptions } from '../backends/errors.js';
import { ResourceNotFound, StaleToken, UnfenceableResource } from '../backends/fencing-errors.js';
import { objectWith, shown } from '../backends/shared/expectations.js';
import { checkWrite, type FencedWrite, NAME, refuse } from './write.js';

/** A client of `ioredis`, of one server or a cluster. */
export interface IoredisClient {
  defineCommand(name: string, definition: { lua: string }): void;
  eval(script: string, keys: number, ...keysAndArguments: string[]): Promise<unknown>;
}

/** A client of `redis` (node-redis), of one server or a cluster. */
export interface NodeRedisClient {
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
}

/** A hash, and what is written into it. */
export interface RedisWrite extends FencedWrite {
  readonly key: string;
  /** Its fields; numbers are written in decimal. */
  readonly set: Readonly<Record<string, string | number | bigint>>;
  /** The field of the token. Default `fencing_token`. */
  readonly tokenField?: string;
}

/** Tokens are compared as text, since the numbers of Lua have 53 bits: the longer is the greater. */
const script = `
local tokenField, token, create = ARGV[1], ARGV[2], ARGV[3]
local seen = redis.call('HGET', KEYS[1], tokenField)
if seen then
  if not (seen == '0' or string.find(seen, '^[1-9]%d*$')) then return {'unreadable', seen} end
  if #seen > #token or (#seen == #token and seen > token) then return {'stale', seen} end
elseif create == '0' and redis.call('EXISTS', KEYS[1]) == 0 then
  return {'absent', ''}
end
redis.call('HSET', KEYS[1], tokenField, token)
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return {'written', ''}
`;

/**
 * Writes fields of a hash in Redis, by a client of `ioredis` or `redis` (node-redis), unless one with a greater token has: then
 * the holder is one of the past. The token stands in a field of the same hash.
 *
 * Cold: each subscription writes.
 *
 *     output   --(u|)        u is undefined: it is written
 *     stale    ---#          StaleToken
 *
 * It is one script over one key, so it needs no hash tag in a cluster.
 *
 * **Emits** `undefined`, once, when it is written. The same token may write as often as it likes.
 * **Errors** `StaleToken`; `ResourceNotFound`; `UnfenceableResource` where something else stands where the token should; what the client
 * errors with, as it is: `WRONGTYPE` where the key is no hash; after a connection that broke, it may have been written.
 * `InvalidOptions` (thrown at the call).
 * **Completes** after that.
 * **Teardown** a request under way may still take effect.
 * **Guarantee** not where Redis forgets: a fail-over loses what was written last, and with a key that expires or is deleted its
 * token goes. But: no write of a holder whose token is smaller than one that the hash has.
 * **Source** Kleppmann, "How to do distributed locking".
 *
 * @example
 * declare const redis: { eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown> };
 * withLock(backend, 'invoice-42', ({ token }) =>
 *   fencedRedis(redis, { key: 'invoice:42', set: { status: 'paid' }, token, create: true }),
 * ).subscribe();
 */
export function fencedRedis(client: IoredisClient | NodeRedisClient, write: RedisWrite): Observable<void> {
  const { key, set, token, create = false, tokenField = 'fencing_token' } = checked(write);
  const ask = evalOf(client);
  const fields = Object.entries(set).flatMap(([name, value]) => [name, inDecimal(value)]);
  const resource = `hash ${JSON.stringify(key.slice(0, 200))}`;
  return defer(async () => {
    const reply = await ask(key, [tokenField, String(token), create ? '1' : '0', ...fields]);
    const [outcome, seen] = Array.isArray(reply) ? reply.map(String) : [];
    if (outcome === 'written') return;
    if (outcome === 'absent') throw new ResourceNotFound(resource);
    if (outcome === 'stale' && seen !== undefined) throw new StaleToken(resource, token, BigInt(seen));
    const what = outcome === 'unreadable' ? `its ${tokenField} is ${shown(seen).slice(0, 100)}` : 'its answer is none';
    throw new UnfenceableResource(resource, what);
  });
}

function checked(write: RedisWrite): RedisWrite {
  const tokenName = typeof write?.tokenField === 'string' ? write.tokenField : 'fencing_token';
  checkWrite(write, tokenName, { key: NAME, tokenField: NAME }, ['key']);
  refuse(
    Object.entries(write.set).flatMap(([name, value]) => {
      const isText = typeof value === 'string' || typeof value === 'bigint';
      if (isText || (typeof value === 'number' && Number.isFinite(value))) return [];
      return [`set[${JSON.stringify(name)}] must be a string, a finite number or a bigint, but is ${shown(value)}`];
    }),
  );
  return write;
}

/** `String` writes large and small numbers with an exponent: `1e+21`, `1e-7`. */
function inDecimal(value: string | number | bigint): string {
  const [digits = '', exponent] = typeof value === 'number' ? String(value).split('e') : [String(value)];
  if (exponent === undefined) return digits;
  const sign = digits.startsWith('-') ? '-' : '';
  const [whole = '', fraction = ''] = digits.slice(sign.length).split('.');
  const point = whole.length + Number(exponent);
  const all = whole + fraction;
  return `${sign}${point > 0 ? all.padEnd(point, '0') : `0.${all.padStart(all.length - point, '0')}`}`;
}

type Eval = (key: string, args: string[]) => Promise<unknown>;

function evalOf(client: IoredisClient | NodeRedisClient): Eval {
  const [, canEval] = objectWith('eval');
  if (!canEval(client))
    throw new InvalidOptions(["client must be one of 'ioredis', or one of createClient or createCluster of 'redis'"]);
  return 'defineCommand' in client
    ? (key, args) => client.eval(script, 1, key, ...args)
    : (key, args) => client.eval(script, { keys: [key], arguments: args });
}
