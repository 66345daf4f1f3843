import { createHash } from 'node:crypto';
import { PRELUDE } from './prelude.js';

/** What the server runs, and the name under which it caches it. */
interface Source {
  readonly lua: string;
  readonly sha: string;
}

/** A script: for a single server, and for a cluster, whose channels are sharded like its keys. */
export interface Script {
  readonly plain: Source;
  readonly sharded: Source;
  /**
   * Others are kept out, or the caller goes on, because of what it did: with `waitReplicas` it counts only once replicas
   * have it, or that of others which it tells of: a master that was deposed may have buried somebody who lives on at
   * its replica. What merely takes away is not such a thing: if a fail-over brings it back, its owner takes it away again.
   */
  readonly isReliedOn: boolean;
}

/** Of a script that is relied on. */
function reliedOn(body: string): Script {
  return { ...script(body), isReliedOn: true };
}

function script(body: string): Script {
  return { plain: source('PUBLISH', body), sharded: source('SPUBLISH', body), isReliedOn: false };
}

function source(publish: 'PUBLISH' | 'SPUBLISH', body: string): Source {
  const lua = `
local PUBLISH = '${publish}'
${PRELUDE.trim()}

local function main()
${body.trim()}
end

-- Each reply begins with the number of its request and the shard's time.
local reply = main()
table.insert(reply, 1, ARGV[1])
table.insert(reply, 2, int(v))
return reply
`;
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

// What is short of memory must still be able to renew and to leave: Redis refuses a script's first write that may need
// memory, but none after another write. So these remove first, and may fail to save the clock. Only what makes something
// new saves first, so that it fails before it has done anything.

/** Makes the session's lease. Returns quarantine. */
export const OPEN: Script = reliedOn(`
save(redis.call)
reap(200)
redis.call('ZADD', S, int(v + ttl + slack(ttl)), sid)
redis.call('ZADD', L, int(ttl), sid)
tell()
return { 'ok', quarantine }
`);

/** ARGV: number of the heartbeat, run_id of the last one. Returns quarantine, earliest lease, more to reap, what stands. */
export const RENEW: Script = reliedOn(`
if not alive(sid) then return lost() end
redis.call('ZREM', S, sid)
redis.call('ZADD', S, int(v + ttl + slack(ttl)), sid)
save(redis.pcall)
local more = reap(200)
local i = T .. 'i:' .. sid
-- What somebody else has removed, its owner must know of. One roster that is spoiled is not the session's end.
local function heed(member)
  local id, r = string.match(member, '^e([^:]*):(.*)$')
  if not id then return end
  local at = redis.call('ZSCORE', T .. 'o:' .. r, id)
  if at then return ahead(r, id, int(tonumber(at))) end
  redis.call('SREM', i, member)
  redis.call('ZREM', T .. 'w:' .. r, id)
  tellOwner(id)
end
-- All of it where that is little, else some each time.
for _, member in ipairs(redis.call('SRANDMEMBER', i, 100)) do pcall(heed, member) end
tell()
redis.call(PUBLISH, T .. 'c:' .. sid, 'beat:' .. ARGV[8])
local stands = ARGV[9] == run and {} or redis.call('SMEMBERS', i)
return { 'ok', quarantine, earliest(), more and '1' or '', stands }
`);

/** ARGV: roster, entry, payload, kind if it must be registered, its segment. Returns quarantine, earliest lease, nothing, token, ahead. */
export const ENTER: Script = reliedOn(`
if not alive(sid) then return lost() end
local r, id, payload, kind = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local o, i = T .. 'o:' .. r, T .. 'i:' .. sid
if redis.call('SISMEMBER', i, 'x' .. id) == 1 then return { 'refused' } end
local at = redis.call('ZSCORE', o, id)
if at then
  at = int(tonumber(at))
else
  if kind ~= '' and redis.call('HEXISTS', T .. 'g:' .. kind, ARGV[12]) == 0 then return { 'absent' } end
  at = nextToken()
  save(redis.call)
  reap(100)
  redis.call('ZADD', o, at, id)
  local _, mode, permits = parse(id)
  if mode == 'x' then redis.call('ZADD', T .. 'w:' .. r, at, id) end
  local most = tonumber(redis.call('HGET', T .. 'e:' .. r, 'permits')) or 1
  if permits > most then redis.call('HSET', T .. 'e:' .. r, 'permits', int(permits)) end
  if payload ~= '' then redis.call('HSET', T .. 'e:' .. r, id, payload) end
  redis.call('SADD', i, 'e' .. id .. ':' .. r)
  changed[r] = true
  tell()
end
local before = ahead(r, id, at)
return { 'ok', quarantine, earliest(), '', at, before }
`);

/** ARGV: roster, entry, '1' if its enter may still be on the way. */
export const LEAVE: Script = script(`
remove(ARGV[8], ARGV[9])
if ARGV[10] == '1' and alive(sid) then redis.call('SADD', T .. 'i:' .. sid, 'x' .. ARGV[9]) end
save(redis.pcall)
reap(100)
tell()
return { 'ok' }
`);

/** ARGV: pairs of roster and entry. Returns quarantine, earliest lease, more to reap, then for each: ahead, or -1. */
export const LOOK: Script = reliedOn(`
if not alive(sid) then return lost() end
save(redis.pcall)
local more = reap(200)
tell()
local places = {}
for n = 8, #ARGV, 2 do
  local at = redis.call('ZSCORE', T .. 'o:' .. ARGV[n], ARGV[n + 1])
  places[#places + 1] = at and ahead(ARGV[n], ARGV[n + 1], int(tonumber(at))) or -1
end
return { 'ok', quarantine, earliest(), more and '1' or '', places }
`);

/** ARGV: roster, entry, payload. */
export const UPDATE: Script = script(`
if not alive(sid) then return lost() end
local r, id, payload = ARGV[8], ARGV[9], ARGV[10]
if not redis.call('ZSCORE', T .. 'o:' .. r, id) then return { 'refused' } end
if payload == '' then redis.call('HDEL', T .. 'e:' .. r, id) else redis.call('HSET', T .. 'e:' .. r, id, payload) end
changed[r] = true
save(redis.pcall)
tell()
return { 'ok' }
`);

/** ARGV: roster. Returns id, token and payload of each. */
export const ENTRIES: Script = script(`
local r = ARGV[8]
reap(1000)
save(redis.pcall)
tell()
local all, living = redis.call('ZRANGE', T .. 'o:' .. r, 0, -1, 'WITHSCORES'), {}
local reply, ids = { 'ok' }, {}
for n = 1, #all, 2 do
  local owner = parse(all[n])
  if owner then
    if living[owner] == nil then living[owner] = alive(owner) or false end
    if living[owner] then
      ids[#ids + 1] = all[n]
      reply[#reply + 1] = all[n]
      reply[#reply + 1] = int(tonumber(all[n + 1]))
      reply[#reply + 1] = ''
    end
  end
end
for n = 1, #ids, 1000 do
  local payloads = redis.call('HMGET', T .. 'e:' .. r, unpack(ids, n, math.min(n + 999, #ids)))
  for k, payload in ipairs(payloads) do
    if payload then reply[1 + (n + k - 1) * 3] = payload end
  end
end
return reply
`);

/** ARGV: roster, entry. Returns whether it was there. */
export const EVICT: Script = reliedOn(`
local was = remove(ARGV[8], ARGV[9])
if was then tellOwner(ARGV[9]) end
save(redis.pcall)
reap(100)
tell()
return { 'ok', was and '1' or '' }
`);

/** ARGV: kind, segment, id of the write. Returns whether this write made it. */
export const REGISTER: Script = reliedOn(`
local g = T .. 'g:' .. ARGV[8]
local by = redis.call('HGET', g, ARGV[9])
if by then return { 'ok', by == ARGV[10] and '1' or '' } end
save(redis.call)
redis.call('HSET', g, ARGV[9], ARGV[10])
redis.call(PUBLISH, g, '')
return { 'ok', '1' }
`);

/** ARGV: kind, segment. */
export const UNREGISTER: Script = reliedOn(`
local g = T .. 'g:' .. ARGV[8]
reap(1000)
tell()
if redis.call('HEXISTS', g, ARGV[9]) == 0 then return { 'ok', 'absent' } end
for _, id in ipairs(redis.call('ZRANGE', T .. 'o:' .. ARGV[8] .. ':' .. ARGV[9], 0, -1)) do
  local owner = parse(id)
  if owner and alive(owner) then return { 'ok', 'occupied' } end
end
redis.call('HDEL', g, ARGV[9])
redis.call(PUBLISH, g, '')
save(redis.pcall)
return { 'ok', 'removed' }
`);

/** ARGV: kind. Returns the segments. */
export const REGISTERED: Script = script(`
local reply = { 'ok' }
for _, name in ipairs(redis.call('HKEYS', T .. 'g:' .. ARGV[8])) do reply[#reply + 1] = name end
return reply
`);

/** ARGV: cell. Returns version ('' if there is none) and value. */
export const CELL: Script = script(`
local cell = redis.call('HMGET', T .. 'k:' .. ARGV[8], 'version', 'value')
return { 'ok', cell[1] or '', cell[2] or '' }
`);

/** ARGV: cell, expected, id of the write, '1' for a value, the value. Returns whether, version and value afterwards. */
export const SWAP: Script = reliedOn(`
local k, expected, write = T .. 'k:' .. ARGV[8], ARGV[9], ARGV[10]
local cell = redis.call('HMGET', k, 'version', 'value')
local version, value = cell[1] or '', cell[2] or ''
if redis.call('ZSCORE', T .. 'd', write) then return { 'ok', '1', version, value } end
if expected ~= 'any' and expected ~= (version == '' and 'absent' or version) then return { 'ok', '', version, value } end
local at = nextToken()
save(redis.call)
if ARGV[11] == '1' then
  version, value = at, ARGV[12]
  redis.call('HSET', k, 'version', version, 'value', value)
else
  version, value = '', ''
  redis.call('DEL', k)
end
redis.call('ZREMRANGEBYSCORE', T .. 'd', '-inf', int(now - 60000000))
redis.call('ZADD', T .. 'd', int(now), write)
redis.call('PEXPIRE', T .. 'd', 60000)
redis.call(PUBLISH, k, '')
return { 'ok', '1', version, value }
`);

/** Takes the session out, piece by piece. Returns '1' if something is left. */
export const END: Script = script(`
local left = dismantle(sid, 1000)
if left == 0 then redis.call('ZADD', S, 'XX', 0, sid) end
save(redis.pcall)
tell()
return { 'ok', left == 0 and '1' or '' }
`);
