-- The room, opened and closed: what every script that writes begins and ends with.
--
-- KEYS, always all of a room, and those of its history:
--   1 meta hash | 2 online:member 3 online:hidden 4 online:guest 5 online:bot  zset: user -> last seen, ms
--   6 last:member 7 last:hidden  zset: user -> last seen | 8 sessions  hash: user -> packed sessions
--   9 left  zset: user -> when they were said to leave; \t user -> the same of who was hidden then | 10 events  stream
--   11 samples  hash: minute -> maxima, not yet filed under their hours
--   In each online set that has anybody stands '\twindow' too, with 4e15 + the room's window, ahead of every moment:
--   where meta alone is evicted, nobody is online for longer by another window, or for less (see room/_lost.lua)
--   12... uniques:<day>:member, hidden, guest, bot  HyperLogLogs; only where the caller takes history to be on
-- ARGV, always first:
--   1 the clock in ms, or '' for the store's | 2 window in ms | 3 '1' when this window was named
--   4 retention in ms | 5 '1' when this retention was named | 6 for how many ms history is kept, 0 for none
--   7 '1' when that was named | 8 the day of the uniques, counted from 1970, or '' | 9... the script's own
--
-- Reading every key's size first refuses a wrong type before anything is written, and tells which
-- kinds need no look. Times are ms; a user is online while seen > cut. Numbers become strings by
-- int(): Lua's own tostring() would round them.
--
-- Events have two numbers: one among all (`seq`), and one among those that outsiders may see (`seq:shown` in meta,
-- where it is another one), so that what they are given moves only with what they see. The id of an entry is
-- <the latter>-<the former> of its last event; the hidden alone move only the former.
--
-- An event entry holds one record a line, its fields divided by tabs, the empty ones at the end left out:
--   <type><kind> user at session away info was
-- type j(oin), l(eft), t(imeout), u(pdate); kind m, h, g, b; `at` only where it is not the entry's.
-- Neither tab nor newline can stand in a name, nor raw in JSON.
-- reads: meta online last sessions left events samples
-- writes: meta online last sessions left events samples
local call = redis.call
local META, SESSIONS, LEFT, EVENTS = KEYS.meta, KEYS.sessions, KEYS.left, KEYS.events
local KINDS = {'m', 'h', 'g', 'b'}
local ONLINE = {m = KEYS.online_member, h = KEYS.online_hidden, g = KEYS.online_guest, b = KEYS.online_bot}
local LAST = {m = KEYS.last_member, h = KEYS.last_hidden}
local PEAKS = {shown = 'peak:shown', m = 'peak:member', h = 'peak:hidden', g = 'peak:guest', b = 'peak:bot'}
local EVENTS_KEPT = 10000
local SWEPT_AT_MOST = 250
local TRIMMED_AT_LEAST = 20

local function int(number)
  return string.format('%.0f', number)
end

--#fields stored window retention seq mixed renewed listed peak:people peak:member peak:hidden peak:guest peak:bot history minute top joined counted unfiled since since:shown peak:shown moved seq:shown
local clock = call('TIME')
local store_now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now, cut
local stored             -- these fields of meta, as they were
local window, retention
local window_before      -- that held until now, where another is named
local named              -- window, retention and history to store, when they are new
local told               -- event records of this call
local told_hidden        -- how many of them outsiders do not see
local told_too           -- how many more there are where one of them holds several, a line each
local lost               -- whether meta was evicted, and the window was found in a set
local shrunk = {}        -- keys that were taken from: there may be nobody left
local grown = {}         -- keys that were added to: they may be new, and want a TTL
local open_to_all        -- this call concerns somebody who is not hidden: an outsider may learn that it was made
local counted            -- somebody joined or changed kind: compare the peaks
local hole = 0           -- 1: a number that no event has, so that whoever watches starts over
local pending            -- 1: a longer window waits until those expired by the old one are swept
local moved              -- somebody was added to another set than online:member: scores there may be as new as now
local moved_last         -- the last of these moments, where it is still ahead
local behind             -- 2: more may be over than such a write takes away, so that a sweep should follow
local at_once            -- how many users this call may add, or see again
local swept_out          -- who was swept, in the order in which they expired: lists of the user, kind and score
local card               -- how many are in each key; of those that only grow here, at least one more or less
local peaks, peaked      -- the most ever; which of them are new, and when
local fields = {}        -- of meta, to be written
local held_due           -- whether all is then to be renewed
local held_bell          -- the id to be rung for
local held               -- what a timeline will write of these after its last step: field -> value

local function ring(id)
--#include room/_ring.lua
end

--#include history/_minutes.lua
--#include history/_sampling.lua
--#include room/_ahead.lua

-- How many were online at a moment: compare the peaks, and the maxima of its minute.
local function record(counts, at)
  if counts.h > 0 and not peaks.shown then  -- that of people was theirs until now
    local field = 'peak:people:at'
    peaks.shown, peaked.shown = peaks.people, peaked.people or held and held[field] or call('HGET', META, field) or ''
  end
  for what, number in pairs(peaks) do
    local there = what == 'shown' and counts.m + counts.g or counts[what]
    if there > number then peaks[what], peaked[what] = there, at end
  end
  if minute then sampled(math.floor(at / MINUTE), counts) end
end

local function add(key, values)
  if #values > 0 then
    call('ZADD', key, unpack(values))
    card[key] = card[key] + 1
    grown[key] = true
    if key ~= ONLINE.m then moved = true end
  end
end

local function remove(command, key, members)
  if #members > 0 then
    call(command, key, unpack(members))
    shrunk[key] = true
  end
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
  if kind == 'h' and (type ~= 'u' or (was or '') == '') then told_hidden = told_hidden + 1 end
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
  local last, users, of_kind, scores = {m = {}, h = {}}, swept_out.user, swept_out.kind, swept_out.score
  local before, n, told_before = #users, #users, #told
  local score_before, tail
  while n - before < most do
    local first = kinds[1]
    for i = 2, #kinds do
      if (head[kinds[i]] or math.huge) < (head[first] or math.huge) then first = kinds[i] end
    end
    local score = head[first]
    if not score then break end
    local found, i, left = due[first], place[first], last[first]
    local user = found[i]
    if score ~= score_before then score_before, tail = score, '\t' .. int(score + window) end
    n = n + 1
    if first == 'h' then told_hidden = told_hidden + 1 end
    told[told_before + n - before] = 't' .. first .. '\t' .. user .. tail
    users[n], of_kind[n], scores[n] = user, first, score
    if left then
      left[i], left[i + 1] = found[i + 1], user
    end
    place[first], head[first] = i + 2, tonumber(found[i + 3])
  end
  -- those taken are the first of each set, in its own order
  for _, kind in ipairs(kinds) do
    if place[kind] > 1 then
      call('ZREMRANGEBYRANK', ONLINE[kind], 0, (place[kind] - 3) / 2)
      shrunk[ONLINE[kind]] = true
    end
  end
  add(LAST.m, last.m)
  add(LAST.h, last.h)
  if card[SESSIONS] > 0 then remove('HDEL', SESSIONS, {unpack(users, before + 1)}) end
  return n - before
end

-- Forget up to `most` of those in each that the retention is over for, and leaves longer ago than the window.
-- Answer whether that was all.
local function trim(most)
  local all = true
  for key, bound in pairs({[LAST.m] = now - retention, [LAST.h] = now - retention, [LEFT] = cut}) do
    if card[key] > 0 then
      local over = call('ZRANGEBYSCORE', key, '-inf', int(bound), 'LIMIT', 0, most)
      remove('ZREM', key, over)
      all = all and #over < most
    end
  end
  return all
end

--#include room/_old_events.lua

-- Store a named window or retention. A longer window revives nobody who has expired, and no leave: what
-- is over by the old one goes first. By a shorter one some expire at a moment that is past, before that of
-- a snapshot that lists them: a hole makes watchers start over. Answer how many left.
local function settle()
  local swept = 0
  if ARGV.window_named == '1' and stored.window ~= ARGV.window then
    if stored.window and tonumber(ARGV.window) > window then
      swept = sweep(SWEPT_AT_MOST)
      if not trim(SWEPT_AT_MOST) or swept == SWEPT_AT_MOST then pending = 1 end
    end
    if pending == 0 then
      if stored.window and tonumber(ARGV.window) < window then hole = 1 end
      window = tonumber(ARGV.window)
      cut = now - window
      named.window = ARGV.window
    end
  end
  if ARGV.retention_named == '1' and stored.retention ~= ARGV.retention then
    retention = tonumber(ARGV.retention)
    named.retention = ARGV.retention
  end
  settle_history()
  return swept
end


-- Give what may be new its time to live, or (`all`) all of them; and each online set the window, as long as it has
-- anybody.
local function renew(all)
  for _, kind in ipairs(KINDS) do
    if shrunk[ONLINE[kind]] and call('ZCARD', ONLINE[kind]) == 1 then call('ZREM', ONLINE[kind], '\twindow') end
  end
  local ttl, longer = retention + window + 7200000, math.max(retention, kept) + window + 7200000
  for i = at(KEYS.meta), at(KEYS.samples) do
    local key = KEYS[i]
    if all or grown[key] and call('PTTL', key) < 0 then
      local there = call('PEXPIRE', key, int((key == META or key == SAMPLES) and longer or ttl))
      if there == 1 and at(KEYS.online_member) <= i and i <= at(KEYS.online_bot) then call('ZADD', key, int(4e15 + window), '\twindow') end
    end
  end
end

local function set(field, value)
  fields[#fields + 1] = field
  fields[#fields + 1] = value
end

local function write_fields()
  if #fields > 0 then call('HSET', META, unpack(fields)) end
end

-- Count `number` events, of which outsiders see `shown`, and the hole; answer the id of their entry. A counter that
-- there is not yet begins at the time; after what the stream has where meta alone was evicted.
local function next_id(number, shown)
  local seq, seen = tonumber(stored.seq), tonumber(stored.seq_shown or stored.seq)
  local begins, new = not seq, (seen or 0) == 0 and shown + hole > 0
  if begins or new then
    local last = call('XREVRANGE', EVENTS, '+', '-', 'COUNT', 1)[1]
    local last_seen, last_seq = string.match(last and last[1] or '0-0', '^(%d+)-(%d+)$')
    seq = seq or math.max(store_now, tonumber(last_seq))
    seen = new and math.max(store_now, tonumber(last_seen)) or tonumber(last_seen)
  end
  seq = seq + number + hole
  if shown + hole > 0 then seen = seen + shown + hole end
  set('seq', int(seq))
  if begins then set('born', int(seq - number)) end
  if stored.seq_shown or seen ~= seq then
    set('seq:shown', int(seen))
    if new then set('born:shown', int(seen - shown)) end
  end
  return int(seen) .. '-' .. int(seq), seen, seq
end

-- Write the minutes that are over, and nothing else: the end of a script that changes the sets and tells nobody.
local function keep_minutes()
  trim(TRIMMED_AT_LEAST)
  trim_events(TRIMMED_AT_LEAST, tonumber(stored.seq))
  if stored.window and not lost then
    if moved then set('moved', moved_last or int(now)) end
    write_minutes(set)
    write_fields()
  end
  renew(false)
end

-- Write the events, the peaks, the history, the settings and the TTLs; answer what every writing script answers:
-- {result, window, mixed, what the list of rooms should say or -1, window before or -1, pending + behind,
-- what is to be done for the history (see history/_sampling.lua)}
local function close(result)
  local listed = -1
  if not stored.window or lost or named.window then set('window', int(window)) end
  if not stored.retention or named.retention then set('retention', int(retention)) end
  if not stored.history or named.history then set('history', int(kept)) end
  if #told + hole > 0 then
    local number = #told + told_too
    local id, seen, seq = next_id(number, number - told_hidden)
    if number > 0 then
      call('XADD', EVENTS, 'MINID', '~', int(math.max(0, seen - EVENTS_KEPT)), id,
        'at', int(now), 'told', number, 'events', table.concat(told, '\n'))
      grown[EVENTS] = true
      if seq % 16 < number then trim_events(TRIMMED_AT_LEAST, seq) end
    end
    if held then held_bell = id else ring(id) end
  end
  local seconds = tonumber(clock[1])
  local due = not stored.renewed or math.abs(seconds - tonumber(stored.renewed)) >= 3600
    or named.window or named.retention or named.history
  if #told > 0 or due then
    local counts = count(now)
    if counted then
      record(counts, now)
      set('joined', int(now))
    end
    for what, at in pairs(peaked) do
      local field = PEAKS[what] or 'peak:people'
      set(field, peaks[what])
      if at ~= '' then set(field .. ':at', int(at)) end
    end
    local total, before = counts.people + counts.b, tonumber(stored.listed) or 0
    -- hourly in any case: who was to tell the list may have died
    if due or math.abs(total - before) * 8 >= math.max(before, 1) and total ~= before then
      set('listed', total)
      listed = total
    end
  end
  local mixed = card[ONLINE.h] + card[ONLINE.g] + card[ONLINE.b] + card[LAST.h] + card[SESSIONS] > 0
  -- a few more than this call may have brought, or hourly many
  local most = due and SWEPT_AT_MOST or math.max(TRIMMED_AT_LEAST, math.min(SWEPT_AT_MOST, 2 * at_once))
  if not trim(most) and at_once > SWEPT_AT_MOST then behind = 2 end
  if due then
    set('renewed', seconds)
    trim_events(100, tonumber(stored.seq))
    if stored.mixed and not mixed then
      call('HDEL', META, 'mixed')
      stored.mixed = false
    end
  end
  if mixed and not stored.mixed then set('mixed', 1) end
  if moved then set('moved', moved_last or int(now)) end
  local was = named.window and stored.window and tonumber(stored.window) or -1
  if held then
    write_top(set)
    if due then held_due = true end
    return {result, window, mixed and 1 or 0, listed, was, pending + behind, 0}
  end
  local history = write_history(set)
  write_fields()
  renew(due)
  return {result, window, mixed and 1 or 0, listed, was, pending + behind, history}
end
