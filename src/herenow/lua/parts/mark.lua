-- One plain mark, where it changes no more than most do: what mark.lua and touch.lua do first. No function, and as few
-- calls as can be: each costs as much as a command.
--
-- Reads and writes just what a touch would where she is online or comes online as a member, no session of
-- hers says anything, and no more are due to leave than a touch sweeps. Elsewhere it changes nothing.
-- Those who are seen again look in one second of sixteen whether the room is behind with what is over.
--
-- Needs META, MEMBERS, LAST_SEEN, EVENTS, UNIQUES (of the members of DAY), USER, DAY; in a mixed room also
-- LAST_HIDDEN, SESSIONS, and the KEYS of a touch. ARGV: 1 the clock | 2 window.
-- Returns nil where it won't do; else 1 when this made her online or 0, or, where the window is another
-- than the one told or the list of rooms wants an update, as close() of parts/room.lua does.
local call, most_due = redis.call, 10
local room = call('HMGET', META, 'window', 'renewed', 'mixed', 'minute', 'counted', 'moved')
local window, renewed, mixed, minute, moved = room[1], room[2], room[3], room[4], room[6]
local clock = call('TIME')
local age = clock[1] - (renewed or 0)
if not window or age >= 3600 or age <= -3600 or mixed and not SESSIONS then return end
local now = tonumber(ARGV[1]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
-- with history, the minute being sampled, and its day's uniques given
if minute and (minute + 0 ~= math.floor(now / 60000) or DAY ~= tostring(math.floor(minute / 1440))) then return end
if moved and moved - now > 0 then return end  -- moments that are yet to come: see parts/ahead.lua
local cut, same = now - window, window == ARGV[2]

local members, people, bots, hidden, stored = 0, 0, 0, 0, nil  -- where she joins
local seen = call('ZSCORE', MEMBERS, USER)
if seen then
  if seen - cut <= 0 or call('ZCOUNT', MEMBERS, now + 1, '4e15') > 0 then return end
  if mixed and call('HEXISTS', SESSIONS, USER) == 1 then return end
  if now % 16000 < 1000 then
    if call('ZCOUNT', MEMBERS, '-inf', cut) > most_due then return end
    local oldest = call('ZRANGEBYSCORE', LAST_SEEN, '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
    if oldest and tonumber(oldest) <= now - (call('HGET', META, 'retention') or 0) then return end
  end
else
  local all = call('ZCARD', MEMBERS) - 1  -- one is the window
  members = call('ZCOUNT', MEMBERS, cut + 1, now)
  local due = all - members
  if due > most_due or all < 1 or call('XLEN', EVENTS) == 0 then return end
  if due > 0 and call('ZCOUNT', MEMBERS, now + 1, '4e15') > 0 then return end
  if mixed then
    if call('ZSCORE', LAST_HIDDEN, USER) then return end
    for i = 3, 5 do
      local key = KEYS[i]
      local size = call('ZCARD', key)
      if size > 0 then
        if call('ZSCORE', key, USER) then return end
        local over = call('ZCOUNT', key, '-inf', cut)
        local online = size - 1 - over
        due = due + over
        if i < 5 then people = people + online else bots = online end
        if i == 3 then hidden = online end
      end
    end
    if due > most_due then return end
  end
  stored = call('HMGET', META, 'seq', 'listed', 'peak:people', 'peak:member', 'top', 'peak:shown', 'seq:shown')
  if not stored[1] or hidden > 0 and not stored[6] or stored[7] == '0' then return end
end

if minute and (not seen or seen - room[5] < 0)
  and call('PFADD', UNIQUES, USER) == 1 and call('PTTL', UNIQUES) < 0 then
  call('PEXPIRE', UNIQUES, call('HGET', META, 'history') + 172800000)
end
if seen then
  call('ZADD', MEMBERS, now, USER)
  return same and 0 or {0, tonumber(window), mixed and 1 or 0, -1, -1, 0, 0}
end
call('ZREM', LAST_SEEN, USER)
call('ZADD', MEMBERS, now, USER)
members = members + 1
people = people + members
local seq, total, before, listed = stored[1] + 1, people + bots, tonumber(stored[2] or 0), -1
local shown = stored[7] and stored[7] + 1 or seq
local id = string.format('%.0f-%.0f', shown, seq)
if minute then
  local most, most_members, rest = string.match(stored[5], '^(%d+) (%d+)(.*)$')
  call('HSET', META, 'seq', seq, 'joined', now,
    'top', math.max(most, people) .. ' ' .. math.max(most_members, members) .. rest)
else
  call('HSET', META, 'seq', seq, 'joined', now)
end
if stored[7] then call('HSET', META, 'seq:shown', shown) end
if people > (stored[3] or 0) + 0 then call('HSET', META, 'peak:people', people, 'peak:people:at', now) end
if stored[6] and people - hidden > stored[6] + 0 then
  call('HSET', META, 'peak:shown', people - hidden, 'peak:shown:at', now)
end
if members > (stored[4] or 0) + 0 then call('HSET', META, 'peak:member', members, 'peak:member:at', now) end
if math.abs(total - before) * 8 >= math.max(before, 1) and total ~= before then
  listed = total
  call('HSET', META, 'listed', total)
end
if seq % 50 == 0 then
  call('XTRIM', EVENTS, 'MINID', '~', math.max(0, shown - 10000))
--#include parts/old_events.lua
  trim_events(60, seq)
end
call('XADD', EVENTS, id, 'at', now, 'told', 1, 'events', 'jm\t' .. USER)
--#include parts/ring.lua
return listed < 0 and same and 1 or {1, tonumber(window), mixed and 1 or 0, listed, -1, 0, 0}
