import type { Definition } from './prelude.js';

/** What the scripts do with rosters and sessions, each after what it uses itself. */
export const ROSTERS: readonly Definition[] = [
  {
    name: 'parse',
    lua: `
local function parse(id)
  local owner, mode, permits = string.match(id, '^([%w_-]+)%.[%w_-]+%.([sx])(%d*)$')
  return owner, mode, tonumber(permits) or math.huge
end`,
  },
  { name: 'changed', lua: 'local changed = {}' },
  // An entry is taken out: its id. It stands, or has another payload: its id, its token, its payload. Neither: what has
  // changed cannot be said. The number of the change before is removed with the entry, so it is not there any more where a
  // script fails between that and telling.
  {
    name: 'change',
    lua: `
local function change(r, isEmpty, its)
  if not changed[r] then
    local isTold = not isEmpty and string.sub(r, 1, 6) == 'group:'
    changed[r] = { list = {}, before = isTold and redis.call('HGET', T .. 'e:' .. r, 'changes') or '' }
  end
  changed[r].isEmpty = isEmpty
  table.insert(changed[r].list, its)
end`,
  },
  // What the owners of entries are told.
  {
    name: 'news',
    lua: `
local news = {}`,
  },
  // How many stand before an entry now, or that its owner must ask. Who is sure to be admitted by it, alive and in no
  // quarantine, is told by which data, and need not ask.
  {
    name: 'tellOwner',
    lua: `
local function tellOwner(id, ahead)
  local owner = parse(id)
  if not owner then return end
  local isSure = ahead and opens <= v and alive(owner)
  news[owner] = news[owner] or {}
  table.insert(news[owner], { id .. ':' .. (ahead and int(ahead) or ''), isSure })
end`,
  },
  // Tells those who have one less before them, as far as they count: to the last of them it means admission. Most often
  // that is one, or nobody. So many stood before it, and so many exclusive ones.
  {
    name: 'advance',
    lua: `
local function advance(r, rank, exclusives, isExclusive)
  local o = T .. 'o:' .. r
  local permits = tonumber(redis.call('HGET', T .. 'e:' .. r, 'permits')) or 1
  while rank < permits or (isExclusive and exclusives < permits) do
    local page = redis.call('ZRANGE', o, rank, rank + 99)
    for _, id in ipairs(page) do
      local _, itsMode, itsPermits = parse(id)
      if itsMode == 'x' then
        if rank < itsPermits then tellOwner(id, rank) end
        exclusives = exclusives + 1
      elseif isExclusive and itsMode and exclusives < itsPermits then
        tellOwner(id, exclusives)
      end
      rank = rank + 1
      if rank >= permits and (not isExclusive or exclusives >= permits) then return end
    end
    if #page < 100 then return end
  end
end`,
  },
  // Takes an entry out. What says that it stands goes last: where this fails half-way, asking again finds the rest.
  {
    name: 'remove',
    lua: `
local function remove(r, id)
  local o, w, e = T .. 'o:' .. r, T .. 'w:' .. r, T .. 'e:' .. r
  local owner, mode = parse(id)
  local at, size = redis.call('ZSCORE', o, id), redis.call('ZCARD', o)
  local isAlone = size == (at and 1 or 0)
  local rank, exclusives, hasFollowers = 0, 0, false
  if owner and at and not isAlone then
    local before = '(' .. int(tonumber(at))
    rank, exclusives = redis.call('ZCOUNT', o, '-inf', before), redis.call('ZCOUNT', w, '-inf', before)
    hasFollowers = rank < size - 1 and (mode == 'x' or exclusives < redis.call('ZCARD', w))
  end
  if at then change(r, isAlone, { id }) end
  if owner then redis.call('SREM', T .. 'i:' .. owner, 'e' .. id .. ':' .. r) end
  if isAlone then
    redis.call('DEL', w, e)
  else
    if mode == 'x' then redis.call('ZREM', w, id) end
    redis.call('HDEL', e, id, at and 'changes' or id)
  end
  redis.call('ZREM', o, id)
  if not at then return false end
  if hasFollowers then advance(r, rank, exclusives, mode == 'x') end
  return true
end`,
  },
  // Takes out at most so many entries of a session; the session itself when none is left. Returns what is left to spend.
  // The least ttl is only more than it was then: where it cannot be kept, less is kept.
  {
    name: 'dismantle',
    lua: `
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
  firstLeases = nil
  local rest = tonumber(redis.call('ZRANGE', L, 0, 0, 'WITHSCORES')[2])
  if who ~= sid then rest = math.min(rest or ttl, ttl) end
  least = rest
  redis.pcall('HSET', M, 'least', rest and int(rest) or '')
  return budget - #members
end`,
  },
  // Removes the dead. Returns whether there are more of them.
  {
    name: 'reap',
    lua: `
local function reap(budget)
  local ends = leases()[2]
  if not ends or tonumber(ends) > v then return false end
  local dead = redis.call('ZRANGEBYSCORE', S, '-inf', int(v), 'LIMIT', 0, 50)
  for _, who in ipairs(dead) do
    if budget <= 0 then break end
    budget = dismantle(who, budget)
  end
  return budget <= 0 or #dead == 50
end`,
  },
  // What has changed, for those who watch. In a group, which may have many members, the changes are told themselves, with
  // the name of the data, its number now, and its number at the group's last change: 'none' if nobody stands there any
  // more, '' if it is the first one to be known. Whoever knows the group as of no less than that one need not read it.
  // Nothing is told of what could not be numbered, or is larger than the reading that it saves may be.
  {
    name: 'tell',
    lua: `
local function tell()
  for r, its in pairs(changed) do
    local e, message = T .. 'e:' .. r, ''
    if string.sub(r, 1, 6) == 'group:' and count > (tonumber(m[4]) or 0) then
      if not its.isEmpty then redis.call('HSET', e, 'changes', int(count)) end
      message = cjson.encode({ keptId, int(count), its.isEmpty and 'none' or its.before, its.list })
      if #message > 32768 then message = '' end
    end
    redis.call(PUBLISH, T .. 'n:' .. r, message)
  end
  for owner, lines in pairs(news) do
    for n, line in ipairs(lines) do lines[n] = line[1] .. (line[2] and ':' .. keptId or '') end
    redis.call(PUBLISH, T .. 'c:' .. owner, table.concat(lines, ' '))
  end
end`,
  },
  // Who stands first without a session, because somebody else has removed that, would stand there for ever: it gets one
  // that ends when its owner, if there is any, has given up. Nobody was shown it as long as it had none.
  {
    name: 'adopt',
    lua: `
local function adopt(r)
  local adopted = {}
  for rank = 0, 99 do
    local id = redis.call('ZRANGE', T .. 'o:' .. r, rank, rank)[1]
    local owner = id and parse(id)
    if not owner or not adopted[owner] and redis.call('ZSCORE', S, owner) then return end
    adopted[owner] = true
    local its = tonumber(redis.call('ZSCORE', L, owner)) or most()
    change(r, false, {})
    note(its)
    extend(owner, its)
    redis.call('ZADD', L, int(its), owner)
    redis.call('SADD', T .. 'i:' .. owner, 'e' .. id .. ':' .. r)
  end
end`,
  },
  {
    name: 'ahead',
    lua: `
local function ahead(r, id, at)
  local _, mode = parse(id)
  local before = mode == 's' and redis.call('ZCOUNT', T .. 'w:' .. r, '-inf', '(' .. at)
    or redis.call('ZRANK', T .. 'o:' .. r, id)
  if before > 0 then adopt(r) end
  return before
end`,
  },
  // When the others have promised to ask, from now on, the soonest first, each with whose promise it is. What somebody else
  // has written there is no promise, or one of a time that nobody waits for.
  {
    name: 'promises',
    lua: `
local function promises()
  local kept = {}
  for who, at in string.gmatch(string.sub(m[13] or '', 1, 500), '([%w_-]+):(%d+)') do
    at = tonumber(at)
    if who ~= sid and at > v and at <= v + (least or ttl) then kept[#kept + 1] = { who, at } end
  end
  table.sort(kept, function(one, other) return one[2] < other[2] end)
  return kept
end`,
  },
  // When this session is to ask, if the promises of others leave a gap; nothing if they do not. One that asks does it for
  // all who wait. Four questions are promised ahead, by four sessions, since some may die together, a holder among them:
  // - The first comes after a quarter of the least ttl: before a third, beyond which time is lost, and after a fifth, when
  //   all of that ttl renew. The second comes before a third has passed, too, and each later one would without the one
  //   before it.
  // - One comes when the first lease ends, and those after that follow soon.
  // Where the promise cannot be kept, this session asks all the same, and others may, too.
  {
    name: 'turn',
    lua: `
local function turn(ends)
  local kept, span = promises(), least or ttl
  local step = math.min(span / 12, 200000)
  local last, one, at = v, v - span / 12, nil
  ends = math.max(ends, v + 1000)
  for n = 1, 4 do
    local need = math.floor(math.min(one + span / 3, last < ends and ends or last + step))
    if not kept[n] or kept[n][2] > need then
      at = need
      table.insert(kept, n, { sid, at })
      break
    end
    one, last = n == 1 and v or last, kept[n][2]
  end
  if not at then return nil end
  local turns = {}
  for n = 1, math.min(#kept, 4) do turns[n] = kept[n][1] .. ':' .. int(kept[n][2]) end
  redis.pcall('HSET', M, 'turns', table.concat(turns, ' '))
  return at
end`,
  },
  // In how many ms to ask again for the sake of the first lease of another: when it ends, or before so much has passed
  // that not all of it would count, which who has a longer ttl than others must not let happen; with a sign before it if the
  // others rely on that. '' if there is none, or if this session takes turns, and others have promised to ask.
  {
    name: 'earliest',
    lua: `
local function earliest(takesTurns)
  local first = leases()
  local ends = first[1] == sid and first[4] or first[2]
  if not ends or (first[1] == sid and not first[3]) then return '' end
  local at
  if takesTurns then at = turn(tonumber(ends)) else at = math.min(tonumber(ends), v + (least or ttl) / 4) end
  return at and (takesTurns and '+' or '') .. int(math.max(0, math.ceil((at - v) / 1000))) or ''
end`,
  },
];
