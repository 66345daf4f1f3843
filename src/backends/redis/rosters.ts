/** What the scripts do with rosters and sessions. */
export const ROSTERS = `
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

-- Takes an entry out. What says that it stands goes last: where this fails half-way, asking again finds the rest.
local function remove(r, id)
  local o, w, e = T .. 'o:' .. r, T .. 'w:' .. r, T .. 'e:' .. r
  local owner, mode = parse(id)
  local at = redis.call('ZSCORE', o, id)
  if mode == 'x' then redis.call('ZREM', w, id) end
  redis.call('HDEL', e, id)
  if owner then redis.call('SREM', T .. 'i:' .. owner, 'e' .. id .. ':' .. r) end
  redis.call('ZREM', o, id)
  if redis.call('EXISTS', o) == 0 then redis.call('DEL', e) end
  if not at then return false end
  changed[r] = true
  if owner then advance(r, tonumber(at), mode) end
  return true
end

-- Takes out at most so many entries of a session; the session itself when none is left. Returns what is left to spend.
local function dismantle(who, budget)
  local i = T .. 'i:' .. who
  local members = redis.call('SRANDMEMBER', i, int(budget))
  for _, member in ipairs(members) do
    local id, r = string.match(member, '^e([^:]*):(.*)$')
    if id then remove(r, id) end
    redis.call('SREM', i, member)
  end
  if #members >= budget then return 0 end
  redis.call('DEL', T .. 'd:' .. who)
  redis.call('HDEL', Q, who)
  redis.call('ZREM', L, who)
  redis.call('ZREM', S, who)
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
    redis.call('ZADD', S, lease(its), owner)
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
