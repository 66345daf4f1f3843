/**
 * How every script begins.
 *
 * **The shard's own time.** Leases are not counted in the server's clock, which may be set, but in a time `v` that
 * advances with it under bounds, and never goes back:
 *
 * - not beyond what the client of the script has witnessed, and a slack. It was told `v` by earlier scripts, and adds
 *   what has passed on its own monotonic clock from when it sent one of them to when it sent this one. Of all that it
 *   was told it keeps the least, so that many small leaps together come no further than one. The slack is for requests
 *   that are on their way for longer than others; each lease lasts longer by it. Where their times differ by more, a
 *   leap at that moment may pass by the rest.
 * - from one script to the next by a third of the shortest ttl at most, while anybody else who has a session is
 *   connected: his channel has a subscriber then. Who is connected renews every fifth of the ttl, so time normally keeps
 *   pace, and a leap in between that meets one who has no witness does not free what is held. Where nobody is connected,
 *   all that has passed counts: nobody else would ever count it.
 *
 * What a witness does not confirm remains `due`: a later one may confirm it, who has not lost the same time. So leases
 * are counted from `v + due`, the latest that it may be by the server's clock, and claiming it frees nothing early. It
 * is a third of the shortest ttl at most; what of it nobody has claimed while half of that ttl passed was a leap.
 *
 * So a lease lasts its ttl from the moment the server received the renewal, whatever becomes of the server's clock. A
 * leap back takes away what had passed since the last script, no more. What is expired is never revived: whoever comes
 * first removes it.
 *
 * **What has become of the data.** It carries who wrote it last: the run of the server, and its latest promotion from a
 * replica, if there was one (`era`); a name of its own (`id`), which is another one from then on if somebody else
 * goes on with it; the number of its changes (`count`); and its last names, each with how far it had come (`past`). Each client
 * remembers the name and number that it was told last, and tells them with each script. So it shows if the data is not,
 * or may not be, what was acknowledged:
 *
 * - it was written by another: a server that was started again, a replica that was promoted, also if it had been this
 *   very server before, the old owner of a slot. It may be older than what was acknowledged.
 * - it has another past than this client was told of, or is not as far: it was removed, restored, or is a copy.
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
 * KEYS: the shard's main key. ARGV: number of the request; then in one text, since each argument costs, with a space between
 * them: session, its ttl in µs, its epoch, run_id, ms that the server
 * has been up ('inf': an empty one is to be taken for new), what `v` may be by now as far as this client knows ('' if it does not know the shard), the highest token,
 * and the name and number of the data that it knows; then each script's own, which are in A. Numbers go through
 * string.format: Lua's tostring loses digits.
 */
export const PRELUDE: string = [
  `
local M = KEYS[1]
local T = string.sub(M, 1, -2)
local S, L, Q = T .. 's', T .. 't', T .. 'q'
local sid, ttl, epoch, run, up, witness, floor, knownId, known =
  string.match(ARGV[2], '^(%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*)$')
ttl, epoch, up, witness, floor, known =
  tonumber(ttl), tonumber(epoch), tonumber(up) * 1000, tonumber(witness), tonumber(floor), tonumber(known)
local A = { unpack(ARGV, 3) }

`,
  // What a replica has may be anything.
  `local replication = redis.call('INFO', 'replication')
if not string.find(replication, 'role:master', 1, true) then
  return redis.error_reply('READONLY the server is a replica')
end
local era = run
if not string.find(replication, 'master_replid2:0000000000000000000000000000000000000000', 1, true) then
  local promoted, offset =
    string.match(replication, 'master_replid2:(%x+)'), string.match(replication, 'second_repl_offset:(%-?%d+)')
  era, up = run .. ':' .. promoted .. ':' .. offset, 0
end

`,
  // What the time may run ahead of its witnesses. Whatever is counted in it lasts longer by as much.
  `local function slack(of) return math.min(math.ceil(of / 50), 200000) end

local function int(n) return string.format('%.0f', n) end

local m = redis.call('HMGET', M, 'era', 'id', 'past', 'count', 'token', 'until', 'seen', 'v', 'due', 'low', 'since', 'least',
  'turns')
local isSame = m[1] == era
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local least = tonumber(m[12])
if not least or not (least > 0 and least < 2 ^ 53) then
  least = tonumber(redis.call('ZRANGE', L, 0, 0, 'WITHSCORES')[2])
end
local passed = math.max(0, now - (tonumber(m[7]) or now))
if least and passed > least / 3 then
`,
  // Whether a process is connected that has a session, other than this one.
  `  local function isAnybodyConnected()
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
`,
  // Another server has another clock.
  `  if not isSame or isAnybodyConnected() then passed = least / 3 end
end
local before, due = tonumber(m[8]) or now, tonumber(m[9]) or 0
local v = before + passed
if witness then v = math.max(before, math.min(v + due, witness + slack(least or ttl))) end
v = math.floor(v)
due = math.ceil(math.max(0, math.min(before + due + passed - v, (least or ttl) / 3)))
`,
  // The least that was due since then: nobody has claimed it.
  `local low, since = math.min(tonumber(m[10]) or due, due), tonumber(m[11]) or v
if math.abs(v - since) > (least or ttl) / 2 then
  due = due - low
  low, since = due, v
end

`,
  // What is higher than a number may be, and still be exact, was written by somebody else.
  `local token, wished = tonumber(m[5]), floor
if not token or token > 2 ^ 53 - 2 then token = 0 end
if wished and wished <= 2 ^ 52 and wished > token then token = wished end
local opens = tonumber(m[6]) or 0
`,
  // What somebody else has written there is no name.
  `local id, past, count = m[2] and string.match(m[2], '^[%w_.-]+$'), m[3] or '', tonumber(m[4]) or 0
local keptId, keptCount = id or '', count

`,
  // The longest ttl that anybody has.
  `local function most() return math.max(ttl, tonumber(redis.call('ZRANGE', L, -1, -1, 'WITHSCORES')[2]) or 0) end

`,
  // Whether the data has all that this client was told of.
  `local isKept = knownId == '' or knownId == id and known <= count
if id and isSame and not isKept and knownId ~= id then
  local _, at = string.find(past, ' ' .. knownId .. ':', 1, true)
  isKept = at and known <= (tonumber(string.match(past, '^%d+', at + 1) or '') or -1)
end
if not id or not isSame or not isKept then
`,
  // For how long every node of the cluster has surely been there. Who may not ask for it waits.
  `  local function nodesUp()
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
  local newId, rest = sid .. '.' .. ARGV[1], most()
  if not id then
    if knownId == '' then rest = rest - (PUBLISH == 'SPUBLISH' and up < math.huge and math.min(up, nodesUp()) or up) end
    id, past = newId, ''
  elseif not isSame then
    past = string.match(past .. ' ' .. id .. ':' .. int(count), ' .*$', -400)
    id = newId
  elseif knownId == id then
    id, past = newId, ''
  end
  if rest > 0 then opens = math.max(opens, v + due + rest + slack(most())) end
end
local quarantine = int(math.max(0, math.ceil((opens - v) / 1000)))

local latest = tonumber(redis.call('HGET', Q, sid)) or 0
`,
].join('');

/** Lua that defines something, and its name. */
export interface Definition {
  readonly name: string;
  readonly lua: string;
}

/** What scripts may use of the session and of the data, each after what it uses itself. */
export const SHARD: readonly Definition[] = [
  // When a lease ends that is renewed now.
  {
    name: 'lease',
    lua: `
local function lease(of) return int(v + due + of + slack(of)) end`,
  },
  // A session is to have this ttl. What is kept as the least may be less than it is, never more.
  {
    name: 'note',
    lua: `
local function note(its)
  if least and least <= its then return end
  least = its
  redis.call('HSET', M, 'least', int(its))
end`,
  },
  // A session that is not known any more leaves sets behind where only a part of a slot was saved. They get a session that
  // ends when their owner, if there is any, has given up. Who may not ask for them leaves them.
  {
    name: 'adoptSets',
    lua: `
local function adoptSets()
  if PUBLISH ~= 'SPUBLISH' then return end
  local keys = redis.pcall('CLUSTER', 'GETKEYSINSLOT', redis.pcall('CLUSTER', 'KEYSLOT', M), 10000)
  local its = most()
  for _, key in ipairs(keys) do
    local who = string.sub(key, 1, #T) == T and string.match(key, '^[id]:(.+)$', #T + 1)
    if who and redis.call('ZADD', S, 'NX', lease(its), who) == 1 then
      note(its)
      redis.call('ZADD', L, int(its), who)
    end
  end
end`,
  },
  // All that this script knows. Where it may be without memory (pcall), the next one finds it out again.
  {
    name: 'save',
    lua: `
local function save(call)
  local next, saved = int(count + 1), nil
  if isSame and id == m[2] and past == m[3] and int(opens) == m[6] and int(due) == m[9] and int(low) == m[10]
    and int(since) == m[11] then
    saved = call('HSET', M, 'count', next, 'token', int(token), 'seen', int(now), 'v', int(v))
  else
    saved = call('HSET', M, 'era', era, 'id', id, 'past', past, 'count', next, 'token', int(token), 'until', int(opens),
      'seen', int(now), 'v', int(v), 'due', int(due), 'low', int(low), 'since', int(since))
  end
  if type(saved) == 'table' then
    if not string.find(saved.err, 'OOM', 1, true) then redis.call('HSET', M, 'era', era) end
    return
  end
  if keptId ~= id then adoptSets() end
  count = count + 1
  keptId, keptCount = id, count
  if epoch > latest and redis.call('ZSCORE', S, sid) then redis.call('HSET', Q, sid, int(epoch)) end
end`,
  },
  // Growing beyond the last one and the clock, so that a loss of the former does not matter.
  {
    name: 'nextToken',
    lua: `
local function nextToken()
  token = math.max(token + 1, now)
  return int(token)
end`,
  },
  { name: 'firstLeases', lua: 'local firstLeases' },
  // The two that end first: [1] and [3] say whose, [2] and [4] when.
  {
    name: 'leases',
    lua: `
local function leases()
  firstLeases = firstLeases or redis.call('ZRANGE', S, 0, 1, 'WITHSCORES')
  return firstLeases
end`,
  },
  {
    name: 'alive',
    lua: `
local function alive(who)
  local first = leases()
  local ends = first[1] == who and first[2] or first[3] == who and first[4] or redis.call('ZSCORE', S, who)
  return ends and tonumber(ends) > v
end`,
  },
  // Its lease begins anew.
  {
    name: 'extend',
    lua: `
local function extend(who, its)
  redis.call('ZADD', S, lease(its), who)
  firstLeases = nil
end`,
  },
  // What a client that knew the shard says about lost data counts even if its own session is lost.
  {
    name: 'lost',
    lua: `
local function lost()
  save(redis.pcall)
  return { 'lost' }
end`,
  },
];
