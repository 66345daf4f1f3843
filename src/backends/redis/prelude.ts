/**
 * How every script begins.
 *
 * **The shard's own time.** Leases are not counted in the server's clock, which may be set, but in a time `v` that
 * advances with it under two bounds, and never goes back:
 *
 * - from one script to the next by a third of the shortest ttl at most, while there is any session. Sessions renew
 *   every fifth of their ttl, so it normally keeps pace. A server that was stopped, or that had nobody to talk to, has
 *   not expired everybody when it comes back.
 * - not beyond what the client of the script has witnessed, and a slack. It was told `v` by earlier scripts, and adds
 *   what has passed on its own monotonic clock from when it sent one of them to when it sent this one. Of all that it
 *   was told it keeps the least, so that many small leaps together come no further than one. The slack is for requests
 *   that are on their way for longer than others; each lease lasts longer by it. Where their times differ by more, a
 *   leap at that moment may pass by the rest.
 *
 * So a lease lasts its ttl from the moment the server received the renewal, whatever becomes of the server's clock. A
 * leap back takes away what had passed since the last script, no more. What is expired is never revived: whoever comes
 * first removes it.
 *
 * **Quarantine.** A server of another run (`run_id`) may have forgotten what it had acknowledged. Whoever held
 * something then was renewed before this run began, so nobody is admitted until the server has been up for the longest
 * known ttl: by then every deadline is over. A promoted replica has been up for long, so there, and where a client knows
 * the shard but its data is gone, it is the whole ttl. A server that has been up for a ttl and has no data is taken for
 * one that was never used. Entries may stand in line and leave during a quarantine; it ends admissions only.
 *
 * KEYS: the shard's main key. ARGV: number of the request, session, its ttl in µs, run_id, ms that the server has been
 * up, what `v` may be by now as far as this client knows ('' if it does not know the shard), the highest token it
 * knows; then each script's own. Numbers go through string.format: Lua's tostring loses digits.
 */
export const PRELUDE = `
local M = KEYS[1]
local T = string.sub(M, 1, -2)
local S, L = T .. 's', T .. 't'
local sid, ttl, run, up, witness, floor =
  ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]) * 1000, tonumber(ARGV[6]), tonumber(ARGV[7])

-- What the time may run ahead of its witnesses. Whatever is counted in it lasts longer by as much.
local function slack(of) return math.ceil(of / 50) end

local function int(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local m = redis.call('HMGET', M, 'run', 'seen', 'v', 'token', 'until')
local passed = math.max(0, now - (tonumber(m[2]) or now))
local least = tonumber(redis.call('ZRANGE', L, 0, 0, 'WITHSCORES')[2])
local before = tonumber(m[3]) or now
local v = before + (least and math.min(passed, least / 3) or passed)
if witness then v = math.max(before, math.min(v, witness + slack(least or ttl))) end
v = math.floor(v)
local token = math.max(tonumber(m[4]) or 0, floor)
local opens = tonumber(m[5]) or 0
if m[1] ~= run then
  local most = math.max(ttl, tonumber(redis.call('ZRANGE', L, -1, -1, 'WITHSCORES')[2]) or 0)
  local rest = most - ((m[1] or not witness) and up or 0)
  if rest > 0 then opens = math.max(opens, v + rest + slack(most)) end
end
local quarantine = int(math.max(0, math.ceil((opens - v) / 1000)))

local function save(call)
  return call('HSET', M, 'run', run, 'seen', int(now), 'v', int(v), 'token', int(token), 'until', int(opens))
end

-- Growing beyond the last one and the clock, so that a loss of the former does not matter.
local function nextToken()
  token = math.max(token + 1, now)
  return int(token)
end

local function alive(who)
  local lease = redis.call('ZSCORE', S, who)
  return lease and tonumber(lease) > v
end

-- What a client that knew the shard says about lost data counts even if its own session is lost.
local function lost()
  save(redis.pcall)
  return { 'lost' }
end

local function parse(id)
  local owner, mode, permits = string.match(id, '^([%w_-]+)%.[%w_-]+%.([sx])(%d*)$')
  return owner, mode, tonumber(permits) or math.huge
end

local changed, news = {}, {}

-- What an entry's owner is told: how many stand before it now, or that it must ask.
local function tellOwner(id, ahead)
  local owner = parse(id)
  if not owner then return end
  news[owner] = news[owner] or {}
  table.insert(news[owner], id .. ':' .. (ahead and int(ahead) or ''))
end

-- Tells those who have one less before them, as far as they count: to the last of them it means admission. Most often
-- that is one, or nobody.
local function advance(r, at, mode)
  local o, w, gone = T .. 'o:' .. r, T .. 'w:' .. r, '(' .. int(at)
  local permits = tonumber(redis.call('HGET', T .. 'e:' .. r, 'permits')) or 1
  if mode == 's' and redis.call('ZCOUNT', w, gone, '+inf') == 0 then return end
  local rank, exclusives = redis.call('ZCOUNT', o, '-inf', gone), redis.call('ZCOUNT', w, '-inf', gone)
  while rank < permits or (mode == 'x' and exclusives < permits) do
    local page = redis.call('ZRANGE', o, rank, rank + 99)
    for _, id in ipairs(page) do
      local _, itsMode, itsPermits = parse(id)
      if itsMode == 'x' then
        if rank < itsPermits then tellOwner(id, rank) end
        exclusives = exclusives + 1
      elseif mode == 'x' and itsMode and exclusives < itsPermits then
        tellOwner(id, exclusives)
      end
      rank = rank + 1
      if rank >= permits and (mode ~= 'x' or exclusives >= permits) then return end
    end
    if #page < 100 then return end
  end
end

local function remove(r, id)
  local o = T .. 'o:' .. r
  local at = redis.call('ZSCORE', o, id)
  if not at then return false end
  local owner, mode = parse(id)
  redis.call('ZREM', o, id)
  if mode == 'x' then redis.call('ZREM', T .. 'w:' .. r, id) end
  if owner then redis.call('SREM', T .. 'i:' .. owner, 'e' .. id .. ':' .. r) end
  changed[r] = true
  if redis.call('EXISTS', o) == 0 then
    redis.call('DEL', T .. 'e:' .. r)
  else
    redis.call('HDEL', T .. 'e:' .. r, id)
    if owner then advance(r, tonumber(at), mode) end
  end
  return true
end

-- Takes out at most so many entries of a session; the session itself when none is left. Returns what is left to spend.
local function dismantle(who, budget)
  local members = redis.call('SPOP', T .. 'i:' .. who, int(budget))
  for _, member in ipairs(members) do
    local id, r = string.match(member, '^e([^:]*):(.*)$')
    if id then remove(r, id) end
  end
  if #members >= budget then return 0 end
  redis.call('ZREM', S, who)
  redis.call('ZREM', L, who)
  return budget - #members
end

-- Removes the dead. Returns whether there are more of them.
local function reap(budget)
  local dead = redis.call('ZRANGEBYSCORE', S, '-inf', int(v), 'LIMIT', 0, 50)
  for _, who in ipairs(dead) do
    if budget <= 0 then break end
    budget = dismantle(who, budget)
  end
  return budget <= 0 or #dead == 50
end

local function tell()
  for r in pairs(changed) do redis.call(PUBLISH, T .. 'n:' .. r, '') end
  for owner, lines in pairs(news) do redis.call(PUBLISH, T .. 'c:' .. owner, table.concat(lines, ' ')) end
end

-- Who stands first without a session, because somebody else has removed that, would stand there for ever: it gets one
-- that ends when its owner, if there is any, has given up.
local function adopt(r)
  local adopted = {}
  for _, id in ipairs(redis.call('ZRANGE', T .. 'o:' .. r, 0, 99)) do
    local owner = parse(id)
    if not owner or not adopted[owner] and redis.call('ZSCORE', S, owner) then return end
    adopted[owner] = true
    local its = tonumber(redis.call('ZSCORE', L, owner) or redis.call('ZRANGE', L, -1, -1, 'WITHSCORES')[2]) or ttl
    redis.call('ZADD', S, int(v + its + slack(its)), owner)
    redis.call('ZADD', L, int(its), owner)
    redis.call('SADD', T .. 'i:' .. owner, 'e' .. id .. ':' .. r)
  end
end

local function ahead(r, id, at)
  local _, mode = parse(id)
  local before = mode == 's' and redis.call('ZCOUNT', T .. 'w:' .. r, '-inf', '(' .. at)
    or redis.call('ZRANK', T .. 'o:' .. r, id)
  if before > 0 then adopt(r) end
  return before
end

-- In how many ms to ask again for the sake of the first lease of another: when it ends, or before so much has passed
-- that not all of it would count, which who has a longer ttl than others must not let happen; '' if there is none.
local function earliest()
  local first = redis.call('ZRANGE', S, 0, 1, 'WITHSCORES')
  local lease = first[1] == sid and first[4] or first[2]
  if not lease or (first[1] == sid and not first[3]) then return '' end
  local rest = math.min(tonumber(lease) - v, (least or ttl) / 4)
  return int(math.max(0, math.ceil(rest / 1000)))
end
`;
