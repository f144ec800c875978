-- The room, opened and closed: what every script that writes begins and ends with.
--
-- KEYS, always all ten of a room:
--   1 meta hash | 2 online:member 3 online:hidden 4 online:guest 5 online:bot  zset: user -> last seen, ms
--   6 last:member 7 last:hidden  zset: user -> last seen | 8 sessions  hash: user -> packed sessions
--   9 left  zset: user -> when she was said to leave | 10 events  stream
-- ARGV, always first:
--   1 the clock in ms, or '' for the store's | 2 window in ms | 3 '1' when this window was named
--   4 retention in ms | 5 '1' when this retention was named | 6... the script's own
--
-- Reading every key's size first refuses a wrong type before anything is written, and tells which
-- kinds need no look. Times are ms; a user is online while seen > cut. Numbers become strings by
-- int(): Lua's own tostring() would round them.
--
-- An event entry holds one record a line, its fields divided by tabs, the empty ones at the end left out:
--   <type><kind> user at session away info was
-- type j(oin), l(eft), t(imeout), u(pdate); kind m, h, g, b; `at` only where it is not the entry's.
-- Neither tab nor newline can stand in a name, nor raw in JSON.
local call = redis.call
local META, SESSIONS, LEFT, EVENTS = KEYS[1], KEYS[8], KEYS[9], KEYS[10]
local KINDS = {'m', 'h', 'g', 'b'}
local ONLINE = {m = KEYS[2], h = KEYS[3], g = KEYS[4], b = KEYS[5]}
local LAST = {m = KEYS[6], h = KEYS[7]}
local PEAKS = {m = 'peak:member', h = 'peak:hidden', g = 'peak:guest', b = 'peak:bot'}
local EVENTS_KEPT = 10000
local EVENT_AGE = 86400000
local SWEPT_AT_MOST = 250

local function int(number)
  return string.format('%.0f', number)
end

local clock = call('TIME')
local store_now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now = tonumber(ARGV[1]) or store_now
local stored = call('HMGET', META, 'window', 'retention', 'seq', 'mixed', 'renewed', 'listed',
  'peak:people', PEAKS.m, PEAKS.h, PEAKS.g, PEAKS.b)
local window = tonumber(stored[1]) or tonumber(ARGV[2])
local retention = tonumber(stored[2]) or tonumber(ARGV[4])
local cut = now - window
local named = {}         -- window and retention to store, when they are new
local told = {}          -- event records of this call
local told_too = 0       -- how many more there are where one of them holds several, a line each
local grown = {}         -- keys that were added to: they may be new, and want a TTL
local counted = false    -- somebody joined or changed kind: compare the peaks
local pending = 0        -- 1: a longer window waits until those expired by the old one are swept

local card = {[EVENTS] = call('XLEN', EVENTS), [SESSIONS] = call('HLEN', SESSIONS)}
for i = 2, 9 do
  if i ~= 8 then card[KEYS[i]] = call('ZCARD', KEYS[i]) end
end

--#include parts/ring.lua

local function add(key, values)
  if #values > 0 then
    call('ZADD', key, unpack(values))
    card[key] = card[key] + 1
    grown[key] = true
  end
end

local function remove(command, key, members)
  if #members > 0 then call(command, key, unpack(members)) end
end

local function tell(type, kind, user, at, session, away, info, was)
  local record = type .. kind .. '\t' .. user
  if at ~= now or session then
    record = record .. '\t' .. (at == now and '' or int(at))
  end
  if session then
    record = record .. '\t' .. session .. '\t' .. away .. '\t' .. info .. '\t' .. was
  end
  told[#told + 1] = record
end

-- Pop up to `most` whose window is over, first to expire first; answer how many that were.
local function sweep(most)
  local kinds, due, place, head = {}, {}, {}, {}
  for _, kind in ipairs(KINDS) do
    if card[ONLINE[kind]] > 0 then
      local found = call('ZRANGEBYSCORE', ONLINE[kind], '-inf', cut, 'WITHSCORES', 'LIMIT', 0, most)
      if #found > 0 then
        kinds[#kinds + 1] = kind
        due[kind], place[kind], head[kind] = found, 1, tonumber(found[2])
      end
    end
  end
  if #kinds == 0 then return 0 end
  local last, users = {m = {}, h = {}}, {}
  while #users < most do
    local first = kinds[1]
    for i = 2, #kinds do
      if (head[kinds[i]] or math.huge) < (head[first] or math.huge) then first = kinds[i] end
    end
    if not head[first] then break end
    local found, i, left = due[first], place[first], last[first]
    local user = found[i]
    told[#told + 1] = 't' .. first .. '\t' .. user .. '\t' .. int(head[first] + window)
    users[#users + 1] = user
    if left then
      left[i], left[i + 1] = found[i + 1], user
    end
    place[first], head[first] = i + 2, tonumber(found[i + 3])
  end
  -- those taken are the first of each set, in its own order
  for _, kind in ipairs(kinds) do
    if place[kind] > 1 then call('ZREMRANGEBYRANK', ONLINE[kind], 0, (place[kind] - 3) / 2) end
  end
  add(LAST.m, last.m)
  add(LAST.h, last.h)
  if card[SESSIONS] > 0 then remove('HDEL', SESSIONS, users) end
  return #users
end

-- Forget what the retention is over for, and leaves longer ago than the window.
-- Answer whether all of it was.
local function trim()
  local all = true
  for key, bound in pairs({[LAST.m] = now - retention, [LAST.h] = now - retention, [LEFT] = cut}) do
    if card[key] > 0 then
      local over = call('ZRANGEBYSCORE', key, '-inf', int(bound), 'LIMIT', 0, SWEPT_AT_MOST)
      remove('ZREM', key, over)
      all = all and #over < SWEPT_AT_MOST
    end
  end
  return all
end

local function trim_events()
  for _ = 1, 100 do
    local first = call('XRANGE', EVENTS, '-', '+', 'COUNT', 1)[1]
    if not first or tonumber(first[2][2]) > now - EVENT_AGE then return end
    call('XDEL', EVENTS, first[1])
  end
end

-- Store a named window or retention. A longer window revives nobody who has expired, and no leave: what
-- is over by the old one goes first. Answer how many left.
local function settle()
  local swept = 0
  if ARGV[3] == '1' and stored[1] ~= ARGV[2] then
    if stored[1] and tonumber(ARGV[2]) > window then
      swept = sweep(SWEPT_AT_MOST)
      if not trim() or swept == SWEPT_AT_MOST then pending = 1 end
    end
    if pending == 0 then
      window = tonumber(ARGV[2])
      cut = now - window
      named.window = ARGV[2]
    end
  end
  if ARGV[5] == '1' and stored[2] ~= ARGV[4] then
    retention = tonumber(ARGV[4])
    named.retention = ARGV[4]
  end
  return swept
end

local function count()
  local counts = {}
  for _, kind in ipairs(KINDS) do
    counts[kind] = card[ONLINE[kind]] > 0 and call('ZCOUNT', ONLINE[kind], '(' .. int(cut), '+inf') or 0
  end
  return counts
end

-- The counter of a room that has none begins at the time; after what the stream has where meta alone was
-- evicted.
local function first_number()
  local last = call('XREVRANGE', EVENTS, '+', '-', 'COUNT', 1)[1]
  return math.max(store_now, last and tonumber(string.match(last[1], '^%d+')) or 0)
end

-- Write the events, the peaks, the settings and the TTLs; answer what every writing script answers:
-- {result, window, mixed, what the list of rooms should say or -1, window before or -1, pending}
local function close(result)
  local fields, listed = {}, -1
  local function set(field, value)
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  if not stored[1] or named.window then set('window', int(window)) end
  if not stored[2] or named.retention then set('retention', int(retention)) end
  if #told > 0 then
    local number = #told + told_too
    local seq = (tonumber(stored[3]) or first_number()) + number
    set('seq', int(seq))
    if not stored[3] then set('born', int(seq - number)) end
    call('XADD', EVENTS, 'MINID', '~', int(seq - EVENTS_KEPT), int(seq) .. '-0',
      'at', int(now), 'told', number, 'events', table.concat(told, '\n'))
    ring(int(seq))
    grown[EVENTS] = true
  end
  local seconds = tonumber(clock[1])
  local due = not stored[5] or math.abs(seconds - tonumber(stored[5])) >= 3600
    or named.window or named.retention
  if #told > 0 or due then
    local counts = count()
    local people = counts.m + counts.h + counts.g
    if counted then
      local function compare(at, field, number)
        if number > (tonumber(stored[at]) or 0) then
          set(field, number)
          set(field .. ':at', int(now))
        end
      end
      compare(7, 'peak:people', people)
      for i, kind in ipairs(KINDS) do compare(7 + i, PEAKS[kind], counts[kind]) end
    end
    local total, before = people + counts.b, tonumber(stored[6]) or 0
    -- hourly in any case: who was to tell the list may have died
    if due or math.abs(total - before) * 8 >= math.max(before, 1) and total ~= before then
      set('listed', total)
      listed = total
    end
  end
  local mixed = card[ONLINE.h] + card[ONLINE.g] + card[ONLINE.b] + card[LAST.h] + card[SESSIONS] > 0
  if due then
    trim()
    trim_events()
    set('renewed', seconds)
    if stored[4] and not mixed then call('HDEL', META, 'mixed') end
  end
  if mixed and not stored[4] then set('mixed', 1) end
  if #fields > 0 then call('HSET', META, unpack(fields)) end
  local ttl = int(retention + window + 7200000)
  if due then
    for _, key in ipairs(KEYS) do call('PEXPIRE', key, ttl) end
  else
    for key in pairs(grown) do
      if call('PTTL', key) < 0 then call('PEXPIRE', key, ttl) end
    end
  end
  local was = named.window and stored[1] and tonumber(stored[1]) or -1
  return {result, window, mixed and 1 or 0, listed, was, pending}
end
