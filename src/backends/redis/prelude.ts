/**
 * How every script begins.
 *
 * **The shard's own time.** Leases are not counted in the server's clock, which may be set, but in a time `v` that
 * advances with it under bounds, and never goes back:
 *
 * - not beyond what the client of the script has witnessed, and a slack. It was told `v` by earlier scripts, and adds
 *   what has passed on its own monotonic clock from when it sent one of them to when it sent this one. Of all that it
 *   was told it keeps the least, so that many small leaps together come no further than one, and lets that grow by half
 *   of the drift. The slack is for requests
 *   that are on their way for longer than others; each lease lasts longer by it. Where their times differ by more, a
 *   leap at that moment may pass by the rest.
 * - from one script to the next by a third of the shortest ttl at most, while anybody else who has a session is
 *   connected: his channel has a subscriber then. Who is connected renews every fifth of the ttl, so time normally keeps
 *   pace, and a leap in between that meets one who has no witness does not free what is held. Where nobody is connected,
 *   all that has passed counts: nobody else would ever count it.
 *
 * What a witness does not confirm remains `due`: a later one may confirm it, who has not lost the same time. So leases
 * are counted from `v + due`, the latest that it may be by the server's clock, and claiming it frees nothing early. It
 * is a third of the shortest ttl at most; what of it nobody has claimed while half of that ttl passed was a leap. Nobody
 * claims what was due before he came (`elder`): he did not see it pass, and many who come would each add a slack.
 *
 * So a lease lasts its ttl from the moment the server received the renewal, whatever becomes of the server's clock. A
 * leap back takes away what had passed since the last script, no more. What is expired is never revived: whoever comes
 * first removes it.
 *
 * **What has become of the data.** It carries who wrote it last: the run of the server and its replication id (`era`),
 * and how much that had received from a master until then (`heard`); a name of its own (`id`), which is another one from then on if somebody else
 * goes on with it; the number of its changes (`count`); and its last names, each with how far it had come (`past`). Each client
 * remembers the name and number that it was told last, and tells them with each script. So it shows if the data is not,
 * or may not be, what was acknowledged:
 *
 * - it was written by another: a server that was started again, a replica that was promoted, also if it had been this
 *   very server before, the old owner of a slot. It may be older than what was acknowledged. The replication id is another
 *   one after each promotion; also when the first replica has come, or the last was gone for long, but then nothing has
 *   been received. Redis 6.2 does not count that; there the latest promotion stands for it, which is forgotten then.
 * - it has another past than this client was told of, or is not as far: it was removed, restored, or is a copy.
 * - the number of the last change that this session made itself is lower than it was told: the same, also where others
 *   have meanwhile changed the older copy as often as was known.
 *
 * Then there is a **quarantine**: nobody is admitted for the longest known ttl from now, which is kept in the data, so it
 * is everybody's. By then every deadline from before is over. Entries may stand in line and leave meanwhile; it ends
 * admissions only. Where there is no data, and the client does not know of any, it ends when a server that was never
 * promoted has been up for so long, and in a cluster has been connected to all others for so long, whose slots may have
 * come here: then it was never used, or lost before that.
 *
 * **Late requests.** A session counts its connections (`epoch`). What was sent over an earlier one and arrives after
 * something from a later one is refused: what was done since must not be undone.
 *
 * KEYS: the shard's main key. ARGV: number of the request, session, its ttl in µs, its epoch, run_id, ms that the server
 * has been up, what `v` may be by now as far as this client knows ('' if it does not know the shard), what of `due` is
 * older than that knowledge, the highest token, the name and number of the data that it knows, and the number of the
 * session's last change; then each script's own, which are in A. Numbers go through string.format: Lua's tostring loses digits.
 */
export const PRELUDE = `
local M = KEYS[1]
local T = string.sub(M, 1, -2)
local S, L, Q = T .. 's', T .. 't', T .. 'q'
local sid, ttl, epoch, run, up, witness, elder, floor, knownId, known, knownOwn =
  ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6]) * 1000, tonumber(ARGV[7]), tonumber(ARGV[8]),
  tonumber(ARGV[9]), ARGV[10], tonumber(ARGV[11]), tonumber(ARGV[12])
local A = { unpack(ARGV, 13) }

-- What a replica has may be anything.
local replication = redis.call('INFO', 'replication')
if string.match(replication, 'role:(%a+)') ~= 'master' then
  return redis.error_reply('READONLY the server is a replica')
end
local replicationId, promoted, offset = string.match(replication, 'master_replid:(%x+)'),
  string.match(replication, 'master_replid2:(%x+)'), string.match(replication, 'second_repl_offset:(%-?%d+)')
local era = run .. ':' .. replicationId
local promotion = string.find(promoted, '[^0]') and promoted .. ':' .. offset or ''

-- What the time may run ahead of its witnesses. Whatever is counted in it lasts longer by as much.
local function slack(of) return math.min(math.ceil(of / 50), 200000) end

local function int(n) return string.format('%.0f', n) end

-- Whether a process is connected that has a session, other than this one.
local function isAnybodyConnected()
  local first = 0
  while true do
    local page, channels = redis.call('ZREVRANGE', S, first, first + 99), {}
    if #page == 0 then return false end
    for _, who in ipairs(page) do
      if who ~= sid then channels[#channels + 1] = T .. 'c:' .. who end
    end
    local counts = redis.call('PUBSUB', NUMSUB, unpack(channels))
    for n = 2, #counts, 2 do
      if counts[n] > 0 then return true end
    end
    first = first + 100
  end
end

local m = redis.call('HMGET', M, 'era', 'id', 'past', 'count', 'token', 'until', 'seen', 'v', 'due', 'low', 'since',
  'heard')
local isSame, heard = m[1] == era, m[12] or ''
if not isSame then
  heard = string.match(redis.call('INFO', 'stats'), 'total_net_repl_input_bytes:(%d+)') or promotion
  isSame = promotion == '' and m[12] == heard and string.match(m[1] or '', '^[^:]*') == run
end
if promotion ~= '' or string.find(heard, '[^0]') then up = 0 end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local least = tonumber(redis.call('ZRANGE', L, 0, 0, 'WITHSCORES')[2])
local most = math.max(ttl, tonumber(redis.call('ZRANGE', L, -1, -1, 'WITHSCORES')[2]) or 0)
local passed = math.max(0, now - (tonumber(m[7]) or now))
-- Another server has another clock.
if least and passed > least / 3 and (not isSame or isAnybodyConnected()) then passed = least / 3 end
local before, due = tonumber(m[8]) or now, tonumber(m[9]) or 0
local v = before + passed
if witness then v = math.max(before, math.min(v + math.max(0, due - elder), witness + slack(least or ttl))) end
v = math.floor(v)
due = math.ceil(math.max(0, math.min(before + due + passed - v, (least or ttl) / 3)))
-- The least that was due since then: nobody has claimed it.
local low, since = math.min(tonumber(m[10]) or due, due), tonumber(m[11]) or v
if math.abs(v - since) > (least or ttl) / 2 then
  due = due - low
  low, since = due, v
end

-- When a lease ends that is renewed now.
local function lease(of) return int(v + due + of + slack(of)) end

-- What is higher than a number may be, and still be exact, was written by somebody else.
local function upTo(most, n) return n and n <= most and n or 0 end
local token = math.max(upTo(2 ^ 53 - 2, tonumber(m[5])), upTo(2 ^ 52, floor))
local opens = tonumber(m[6]) or 0
-- What somebody else has written there is no name.
local id, past, count = m[2] and string.match(m[2], '^[%w_.-]+$'), m[3] or '', tonumber(m[4]) or 0
local keptId, keptCount = id or '', count
local newId = sid .. '.' .. ARGV[1]

-- Of this session: its latest connection, and the number of its last change.
local latest, own = string.match(redis.call('HGET', Q, sid) or '', '^(%d+):(%d+)$')
latest, own = tonumber(latest) or 0, tonumber(own) or 0

-- Whether the data has all that this client was told of. Whoever is not known any more may have expired.
local function isKept()
  if knownOwn > own and redis.call('ZSCORE', S, sid) then return false end
  if knownId == '' then return true end
  if knownId == id then return known <= count end
  local _, at = string.find(past, ' ' .. knownId .. ':', 1, true)
  return at and known <= (tonumber(string.match(past, '^%d+', at + 1) or '') or -1)
end

-- For how long every node of the cluster has surely been there. Who may not ask for it waits.
local function nodesUp()
  local nodes, links = redis.pcall('CLUSTER', 'NODES'), redis.pcall('CLUSTER', 'LINKS')
  if type(nodes) == 'table' or links.err then return 0 end
  if string.find(nodes, ' disconnected', 1, true) or string.find(nodes, '[ ,]fail[?, ]') then return 0 end
  local latest = 0
  for _, link in ipairs(links) do
    for n = 1, #link, 2 do
      if link[n] == 'create-time' then latest = math.max(latest, link[n + 1] * 1000) end
    end
  end
  return now - latest
end

local rest = 0
if not id then
  rest = most
  if knownId == '' then rest = most - (PUBLISH == 'SPUBLISH' and math.min(up, nodesUp()) or up) end
  id, past = newId, ''
elseif not isSame then
  rest = most
  past = string.match(past .. ' ' .. id .. ':' .. int(count), ' .*$', -400)
  id = newId
elseif not isKept() then
  rest = most
  if knownId == id then id, past = newId, '' end
end
if rest > 0 then opens = math.max(opens, v + due + rest + slack(most)) end
local quarantine = int(math.max(0, math.ceil((opens - v) / 1000)))

-- A session that is not known any more leaves sets behind where only a part of a slot was saved. They get a session that
-- ends when their owner, if there is any, has given up. Who may not ask for them leaves them.
local function adoptSets()
  if PUBLISH ~= 'SPUBLISH' then return end
  local keys = redis.pcall('CLUSTER', 'GETKEYSINSLOT', redis.pcall('CLUSTER', 'KEYSLOT', M), 10000)
  for _, key in ipairs(keys) do
    local who = string.sub(key, 1, #T) == T and string.match(key, '^[id]:(.+)$', #T + 1)
    if who and redis.call('ZADD', S, 'NX', lease(most), who) == 1 then redis.call('ZADD', L, int(most), who) end
  end
end

-- All that this script knows. Where it may be without memory (pcall), the next one finds it out again.
local function save(call)
  local saved = call('HSET', M, 'era', era, 'id', id, 'past', past, 'count', int(count + 1), 'token', int(token), 'until',
    int(opens), 'seen', int(now), 'v', int(v), 'due', int(due), 'low', int(low), 'since', int(since), 'heard',
    heard)
  if type(saved) == 'table' then
    if not string.find(saved.err, 'OOM', 1, true) then redis.call('HSET', M, 'era', era) end
    return
  end
  if keptId ~= id then adoptSets() end
  count = count + 1
  keptId, keptCount = id, count
  if redis.call('ZSCORE', S, sid) then
    latest, own = math.max(latest, epoch), count
    redis.call('HSET', Q, sid, int(latest) .. ':' .. int(own))
  end
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
`;
