import { createHash } from 'node:crypto';
import { PRELUDE, SHARD } from './prelude.js';
import { ROSTERS } from './rosters.js';

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
  return {
    plain: source('PUBLISH', 'NUMSUB', body),
    sharded: source('SPUBLISH', 'SHARDNUMSUB', body),
    isReliedOn: false,
  };
}

/** Each reply begins with the number of its request, and with the shard's time and the name and number of the data. */
function source(publish: string, subscribers: string, body: string): Source {
  const lua = `
local PUBLISH, NUMSUB = '${publish}', '${subscribers}'
${PRELUDE.trim()}

${definitionsFor(body)}

local function main()
${body.trim()}
end

local reply = epoch < latest and { 'late' } or main()
return { ARGV[1], int(v) .. ' ' .. int(keptCount) .. ' ' .. keptId, reply }
`;
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

/** Of all that scripts may use, what this one does: whatever is defined costs time whenever it runs. */
function definitionsFor(body: string): string {
  return [...SHARD, ...ROSTERS].reduceRight(
    (lua, definition) =>
      new RegExp(`\\b${definition.name}\\b`).test(`${lua}\n${body}`) ? `${definition.lua.trim()}\n\n${lua}` : lua,
    '',
  );
}

// What is short of memory must still be able to renew and to leave: Redis refuses a script's first write that may need
// memory, but none after another write. So these remove first, and may fail to save the clock. Only what makes something
// new saves first, so that it fails before it has done anything.

/** Makes the session's lease. Returns quarantine. */
export const OPEN: Script = reliedOn(`
save(redis.call)
note(ttl)
extend(sid, ttl)
redis.call('ZADD', L, int(ttl), sid)
reap(200)
tell()
return { 'ok', quarantine }
`);

/**
 * ARGV: number of the heartbeat, name of the data in which all that stands was there last, '1' if the session takes its turn in
 * asking. Returns quarantine, earliest lease, more to reap, what stands.
 *
 * What somebody else has removed, its owner must know of: all that stands is looked at where that is little, else some each
 * time, since a renewal must not cost the more, the more stands there. One roster that is spoiled is not the session's end.
 */
export const RENEW: Script = reliedOn(`
if not alive(sid) then return lost() end
redis.call('ZREM', S, sid)
extend(sid, ttl)
save(redis.pcall)
local more = reap(200)
local i = T .. 'i:' .. sid
local function heed(r, ids)
  local tokens = redis.call('ZMSCORE', T .. 'o:' .. r, unpack(ids))
  for n, id in ipairs(ids) do
    if not tokens[n] then
      redis.call('SREM', i, 'e' .. id .. ':' .. r)
      redis.call('ZREM', T .. 'w:' .. r, id)
      tellOwner(id)
    end
  end
  adopt(r)
end
local chosen, rosters = {}, 0
for _, member in ipairs(redis.call('SRANDMEMBER', i, 100)) do
  local id, r = string.match(member, '^e([^:]*):(.*)$')
  if id and not chosen[r] and rosters < 4 then
    chosen[r] = {}
    rosters = rosters + 1
  end
  if id and chosen[r] then table.insert(chosen[r], id) end
end
for r, ids in pairs(chosen) do pcall(heed, r, ids) end
tell()
redis.call(PUBLISH, T .. 'c:' .. sid, 'beat:' .. A[1])
local stands = A[2] == keptId and {} or redis.call('SMEMBERS', i)
return { 'ok', quarantine, earliest(A[3] == '1'), more and '1' or '', stands }
`);

/**
 * ARGV: roster, entry, payload, kind if it must be registered, its segment, '1' if the session takes its turn in asking; it does
 * if it has to wait. Returns quarantine, earliest lease, nothing, token, ahead. Where the entry stands already, this request is
 * a repeated one, and changes nothing of it.
 */
export const ENTER: Script = reliedOn(`
if not alive(sid) then return lost() end
local r, entry, payload, kind = A[1], A[2], A[3], A[4]
local o, e = T .. 'o:' .. r, T .. 'e:' .. r
if kind ~= '' and not redis.call('ZSCORE', o, entry) and redis.call('HEXISTS', T .. 'g:' .. kind, A[5]) == 0 then
  return { 'absent' }
end
local at = nextToken()
save(redis.call)
reap(100)
redis.call('SADD', T .. 'i:' .. sid, 'e' .. entry .. ':' .. r)
local _, mode, permits = parse(entry)
if permits > 1 and permits > (tonumber(redis.call('HGET', e, 'permits')) or 1) then
  redis.call('HSET', e, 'permits', int(permits))
end
if payload ~= '' then redis.call('HSETNX', e, entry, payload) end
if mode == 'x' then redis.call('ZADD', T .. 'w:' .. r, 'NX', at, entry) end
if redis.call('ZADD', o, 'NX', at, entry) == 1 then
  change(r, false, { entry, at, payload })
else
  at = int(tonumber(redis.call('ZSCORE', o, entry)))
end
tell()
local before = ahead(r, entry, at)
return { 'ok', quarantine, earliest(A[6] == '1' or before >= permits), '', at, before }
`);

/** ARGV: roster, entry. Returns '1' if it was there. */
export const LEAVE: Script = script(`
local wasThere = remove(A[1], A[2])
save(redis.pcall)
reap(100)
tell()
return { 'ok', wasThere and '1' or '' }
`);

/** ARGV: '1' if the session takes its turn in asking, pairs of roster and entry. Returns quarantine, earliest lease, more to reap, then for each: ahead, or -1. */
export const LOOK: Script = reliedOn(`
if not alive(sid) then return lost() end
save(redis.pcall)
local more = reap(200)
tell()
local places = {}
for n = 2, #A, 2 do
  local at = redis.call('ZSCORE', T .. 'o:' .. A[n], A[n + 1])
  places[#places + 1] = at and ahead(A[n], A[n + 1], int(tonumber(at))) or -1
end
return { 'ok', quarantine, earliest(A[1] == '1'), more and '1' or '', places }
`);

/** ARGV: roster, entry, payload. */
export const UPDATE: Script = script(`
if not alive(sid) then return lost() end
local r, id, payload = A[1], A[2], A[3]
local at = redis.call('ZSCORE', T .. 'o:' .. r, id)
if not at then return { 'refused' } end
if payload == '' then redis.call('HDEL', T .. 'e:' .. r, id) else redis.call('HSET', T .. 'e:' .. r, id, payload) end
change(r, false, { id, int(tonumber(at)), payload })
save(redis.pcall)
tell()
return { 'ok' }
`);

/**
 * ARGV: roster, name of the data as of which the caller has it, or ''. Returns id, token and payload of each; where it
 * may be that the caller has them all, only the number of the last change, and how many there are.
 */
export const ENTRIES: Script = script(`
local r = A[1]
local more = reap(1000)
save(redis.pcall)
tell()
local changes = not more and A[2] == keptId and redis.call('HGET', T .. 'e:' .. r, 'changes')
if changes then return { 'known', changes, redis.call('ZCARD', T .. 'o:' .. r) } end
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

/**
 * A write whose outcome is kept with the session under its id: what is asked again is told that, whatever has become of
 * it since. ARGV: id of the write, ids of those whose outcome need not be kept any longer. Returns the outcome, and `more`.
 */
function write(body: string, more = ''): Script {
  return reliedOn(`
if not alive(sid) then return lost() end
local D = T .. 'd:' .. sid
for answered in string.gmatch(A[2], '%S+') do redis.call('HDEL', D, answered) end
local function act(version)
${body.trim()}
end
local outcome = redis.call('HGET', D, A[1])
if not outcome then
  local version = nextToken()
  save(redis.call)
  reap(1000)
  outcome = act(version)
  redis.call('HSET', D, A[1], outcome)
  tell()
end
return { 'ok', outcome${more} }
`);
}

/** ARGV: roster, entry. Whether it was there. */
export const EVICT: Script = write(`
if not remove(A[3], A[4]) then return '' end
tellOwner(A[4])
return '1'
`);

/** ARGV: kind, segment. Whether this write made it. */
export const REGISTER: Script = write(`
local g = T .. 'g:' .. A[3]
if redis.call('HSETNX', g, A[4], A[1]) == 0 then return '' end
redis.call(PUBLISH, g, '')
return '1'
`);

/** ARGV: kind, segment. */
export const UNREGISTER: Script = write(`
local g = T .. 'g:' .. A[3]
if redis.call('HEXISTS', g, A[4]) == 0 then return 'absent' end
for _, id in ipairs(redis.call('ZRANGE', T .. 'o:' .. A[3] .. ':' .. A[4], 0, -1)) do
  local owner = parse(id)
  if owner and alive(owner) then return 'occupied' end
end
redis.call('HDEL', g, A[4])
redis.call(PUBLISH, g, '')
return 'removed'
`);

/** ARGV: kind. Returns the segments. */
export const REGISTERED: Script = script(`
local reply = { 'ok' }
for _, name in ipairs(redis.call('HKEYS', T .. 'g:' .. A[1])) do reply[#reply + 1] = name end
return reply
`);

/** ARGV: cell. Returns version ('' if there is none) and value. */
export const CELL: Script = script(`
local cell = redis.call('HMGET', T .. 'k:' .. A[1], 'version', 'value')
return { 'ok', cell[1] or '', cell[2] or '' }
`);

/** ARGV: cell, expected, '1' for a value, the value. Whether it was written, then version and value as they are now. */
export const SWAP: Script = write(
  `
local k, expected = T .. 'k:' .. A[3], A[4]
if expected ~= 'any' and expected ~= (redis.call('HGET', k, 'version') or 'absent') then return '' end
if A[5] == '1' then
  redis.call('HSET', k, 'version', version, 'value', A[6])
else
  redis.call('DEL', k)
end
redis.call(PUBLISH, k, '')
return '1'
`,
  ", redis.call('HGET', T .. 'k:' .. A[3], 'version') or '', redis.call('HGET', T .. 'k:' .. A[3], 'value') or ''",
);

/** Takes the session out, piece by piece. Returns '1' if something is left. */
export const END: Script = script(`
local left = dismantle(sid, 1000)
if left == 0 then redis.call('ZADD', S, 'XX', 0, sid) end
save(redis.pcall)
tell()
return { 'ok', left == 0 and '1' or '' }
`);
