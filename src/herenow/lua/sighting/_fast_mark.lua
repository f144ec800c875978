-- The fast path of one plain mark, where it changes no more than most do: what mark.lua and touch.lua do first. No
-- function, and as few calls as can be: each costs as much as a command.
--
-- It stays for the bench: "first sighting, members alone" and "mixed room". A touch takes four times as long. It does
-- what see() and close() do: the oracle runs every story with this path and without.
--
-- Reads and writes just what a touch would where they are online or come online as a member, no session of
-- theirs says anything, and no more are due to leave than a touch sweeps. Elsewhere it changes nothing.
-- Those who are seen again look in one second of sixteen whether the room is behind with what is over.
--
-- Needs META, MEMBERS, LAST_SEEN, EVENTS, UNIQUES (of the members of DAY), USER, DAY; in a mixed room also
-- OTHERS (where in KEYS the sets of the hidden, guests and bots begin), LAST_HIDDEN, SESSIONS. ARGV: now, window.
-- Returns nil where it won't do; else 1 when this made them online or 0, or, where the window is another
-- than the one told or the list of rooms wants an update, as close() of room/_room.lua does.
-- reads: meta online last sessions events uniques
-- writes: meta online last events uniques
local call, most_due = redis.call, 10
--#fields state window renewed mixed minute counted moved
local state = call('HMGET', META, FIELDS.state)
local window, renewed, mixed, minute, moved = state.window, state.renewed, state.mixed, state.minute, state.moved
local clock = call('TIME')
local age = clock[1] - (renewed or 0)
if not window or age >= 3600 or age <= -3600 or mixed and not SESSIONS then return end
local now = tonumber(ARGV.now) or clock[1] * 1000 + math.floor(clock[2] / 1000)
-- with history, the minute being sampled, and its day's uniques given
if minute and (minute + 0 ~= math.floor(now / 60000) or DAY ~= tostring(math.floor(minute / 1440))) then return end
if moved and moved - now > 0 then return end  -- moments that are yet to come: see room/_ahead.lua
local cut, same = now - window, window == ARGV.window

local members, people, bots, hidden, earlier = 0, 0, 0, 0, nil  -- where they join
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
    for i = OTHERS, OTHERS + 2 do  -- hidden, guests, bots
      local key = KEYS[i]
      local size = call('ZCARD', key)
      if size > 0 then
        if call('ZSCORE', key, USER) then return end
        local over = call('ZCOUNT', key, '-inf', cut)
        local online = size - 1 - over
        due = due + over
        if i < OTHERS + 2 then people = people + online else bots = online end
        if i == OTHERS then hidden = online end
      end
    end
    if due > most_due then return end
  end
--#fields earlier seq listed peak:people peak:member top peak:shown seq:shown
  earlier = call('HMGET', META, FIELDS.earlier)
  if not earlier.seq or hidden > 0 and not earlier.peak_shown or earlier.seq_shown == '0' then return end
end

if minute and (not seen or seen - state.counted < 0)
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
local seq, total, told, listed = earlier.seq + 1, people + bots, tonumber(earlier.listed or 0), -1
local shown = earlier.seq_shown and earlier.seq_shown + 1 or seq
local id = string.format('%.0f-%.0f', shown, seq)
if minute then
  local most, most_members, rest = string.match(earlier.top, '^(%d+) (%d+)(.*)$')
  call('HSET', META, 'seq', seq, 'joined', now,
    'top', math.max(most, people) .. ' ' .. math.max(most_members, members) .. rest)
else
  call('HSET', META, 'seq', seq, 'joined', now)
end
if earlier.seq_shown then call('HSET', META, 'seq:shown', shown) end
if people > (earlier.peak_people or 0) + 0 then call('HSET', META, 'peak:people', people, 'peak:people:at', now) end
if earlier.peak_shown and people - hidden > earlier.peak_shown + 0 then
  call('HSET', META, 'peak:shown', people - hidden, 'peak:shown:at', now)
end
if members > (earlier.peak_member or 0) + 0 then call('HSET', META, 'peak:member', members, 'peak:member:at', now) end
if math.abs(total - told) * 8 >= math.max(told, 1) and total ~= told then
  listed = total
  call('HSET', META, 'listed', total)
end
if seq % 50 == 0 then
  call('XTRIM', EVENTS, 'MINID', '~', math.max(0, shown - 10000))
--#include room/_old_events.lua
  trim_events(60, seq)
end
call('XADD', EVENTS, id, 'at', now, 'told', 1, 'events', 'jm\t' .. USER)
--#include room/_ring.lua
return listed < 0 and same and 1 or {1, tonumber(window), mixed and 1 or 0, listed, -1, 0, 0}
