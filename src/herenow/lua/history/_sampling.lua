-- History, kept up by every script that writes: the largest number online within each minute, and who was
-- seen on each day. Part of room/_room.lua.
--
-- `minute` in meta is the minute being sampled, counted from 1970, and `top` its maxima so far. Whoever writes
-- first in another minute closes those before it, by how many were online at the start of each, before
-- anything is changed; who joins or changes kind within a minute counts, and compares. Closed minutes stand in
-- samples, until they are filed under their hours (file.lua): a script can't name a key by the store's clock.
-- The same holds for the day's uniques: they are given where the caller knows the day, else the reply names who
-- is still to be counted (uniques_add.lua). A minute in which nobody was online is not stored.
--
-- `since` in meta is when the history began, and `since:shown`, where that differs, when it did to outsiders: with
-- the first write that was not of the hidden alone; '' where there was none yet.
--
-- `silent` in meta has the last spans of whole minutes in which nobody wrote, from-to: see outage.lua.
-- reads: meta online samples uniques
-- writes: meta samples uniques
local SPANS_KEPT = 20
local DAY = 86400000
local SAMPLES = KEYS.samples
local UNIQUES = {m = KEYS.uniques_member, h = KEYS.uniques_hidden, g = KEYS.uniques_guest, b = KEYS.uniques_bot}
local kept               -- for how many ms; 0: there is no history here
local minute, top
local this_minute, today
local counted_from       -- who was seen since is among the day's uniques
local closed, closed_some = {}, false  -- minute -> maxima
local began              -- the moment where history begins with this call, if it does
local silents = {}       -- the spans of minutes that nobody wrote in until now, the last one first
local seen_today = {m = {}, h = {}, g = {}, b = {}}
local uncounted = {}     -- day, kind, user, ...

local function close_minute(at, counts)
  closed[at] = closed[at] and larger(closed[at], counts) or counts
  closed_some = true
end

local function begin_history()
  minute, top, began, counted_from = this_minute, count(now), now, now
end

-- Before anything is written: close the minutes since the last one.
local function open_minute()
  if kept == 0 or minute == this_minute then return end
  if not minute then return begin_history() end
  close_minute(minute, top)
  if this_minute > minute then
    count_minutes(math.max(minute + 1, math.floor((now - kept) / MINUTE)), this_minute, close_minute)
    if this_minute > minute + 1 then table.insert(silents, 1, (minute + 1) .. '-' .. (this_minute - 1)) end
  else -- the clock was set back: these minutes come again, and the larger number counts
    close_minute(this_minute, count(now))
  end
  minute, top = this_minute, closed[this_minute] or count(now)
  closed[this_minute] = nil
end

-- Turn history on or off, or keep it for another time.
local function settle_history()
  if ARGV.history_named ~= '1' or stored.history == ARGV.history then return end
  kept = tonumber(ARGV.history)
  named.history = ARGV.history
  if kept > 0 and not minute then
    begin_history()
  elseif kept == 0 and minute then
    close_minute(minute, top)
    minute, top = nil, nil
  end
end

local function sampled(at, counts)
  if at == minute then
    if not covers(top, counts) then top = larger(top, counts) end
  elseif stored.minute and at >= tonumber(stored.minute) and at < minute then
    close_minute(at, counts)
  end
end

-- Somebody was seen; `seen` is their score of before in the set of this kind, if they were in it.
local function sighted(kind, user, at, seen)
  if kept == 0 then return end
  if at < today * DAY then
    local n = #uncounted
    uncounted[n + 1], uncounted[n + 2], uncounted[n + 3] = int(math.floor(at / DAY)), kind, user
  elseif not seen or seen < counted_from then
    local list = seen_today[kind]
    list[#list + 1] = user
  end
end

-- Whether everybody in the set has been counted today.
local function all_counted(kind)
  return kept == 0 or call('ZCOUNT', ONLINE[kind], '-inf', '(' .. int(counted_from)) == 0
end

local function write_uniques()
  if kept == 0 then return end
  local day = held and tonumber(ARGV.day) or today  -- of a timeline they are those of the steps before
  for _, kind in ipairs(KINDS) do
    local users = seen_today[kind]
    if #users > 0 then
      if tonumber(ARGV.day) == day then
        for i = 1, #users, 1000 do
          if call('PFADD', UNIQUES[kind], unpack(users, i, math.min(i + 999, #users))) == 1
            and call('PTTL', UNIQUES[kind]) < 0 then
            call('PEXPIRE', UNIQUES[kind], int(kept + 2 * DAY))
          end
        end
      else
        for _, user in ipairs(users) do
          local n = #uncounted
          uncounted[n + 1], uncounted[n + 2], uncounted[n + 3] = int(day), kind, user
        end
      end
      seen_today[kind] = {}
    end
  end
end

-- Write the closed minutes; answer the first hour that is still to be filed, if any.
local function write_closed(set)
  local unfiled, minutes = tonumber(stored.unfiled), {}
  for at, counts in pairs(closed) do
    if counts.people + counts.b > 0 then minutes[#minutes + 1] = at end
  end
  for i = 1, #minutes, 1000 do
    local part, values = {unpack(minutes, i, math.min(i + 999, #minutes))}, {}
    local before = call('HMGET', SAMPLES, unpack(part))
    for j, at in ipairs(part) do
      local counts = before[j] and larger(unpack_maxima(before[j]), closed[at]) or closed[at]
      values[2 * j - 1], values[2 * j] = at, pack_maxima(counts)
      unfiled = math.min(unfiled or math.huge, math.floor(at / 60))
    end
    call('HSET', SAMPLES, unpack(values))
    grown[SAMPLES] = true
  end
  if unfiled ~= tonumber(stored.unfiled) then set('unfiled', unfiled) end
  if #silents > 0 then
    for span in string.gmatch(call('HGET', META, 'silent') or '', '%S+') do silents[#silents + 1] = span end
    set('silent', table.concat(silents, ' ', 1, math.min(#silents, SPANS_KEPT)))
  end
  return unfiled
end

-- Write the fields of meta that tell of the minute being sampled, by set().
local function write_top(set)
  if minute then
    local packed = pack_maxima(top)
    if packed ~= stored.top then set('top', packed) end
    if minute ~= tonumber(stored.minute) then
      set('minute', minute)
      set('counted', int(counted_from))
    end
    if began or stored.since and tonumber(stored.since) > now then set('since', int(began or now)) end
    local shown = stored.since_shown
    if began and not open_to_all then
      set('since:shown', '')
    elseif shown and open_to_all and (began or shown == '' or tonumber(shown) > now) then
      set('since:shown', int(now))
    end
  elseif stored.minute then
    call('HDEL', META, 'minute', 'top')
  end
end

local function write_minutes(set)
  write_top(set)
  return write_closed(set)
end

-- Write it all; answer what the caller is to do: 0, or
-- {for how many ms history is kept, the first hour to be filed or -1, the hour now, uncounted...}
local function write_history(set)
  local unfiled, hour = write_minutes(set), math.floor(this_minute / 60)
  write_uniques()
  local to_file = closed_some and unfiled and unfiled < hour and unfiled or -1
  local right_day = held or ARGV.day == '' or tonumber(ARGV.day) == today
  if to_file < 0 and #uncounted == 0 and right_day and (kept > 0) == (#KEYS > at(KEYS.samples)) then return 0 end
  return {kept, to_file, hour, unpack(uncounted)}
end
