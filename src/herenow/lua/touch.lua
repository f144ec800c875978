-- Touch: record sightings of up to 1,000 users; whoever was offline joins.
--
-- KEYS and ARGV 1-5: see parts/room.lua.
-- ARGV: 6 'plain' | 'strict' | 'lenient', 7... one sighting each:
--   plain:   the user alone, each once: a member's or nobody's kind, the unnamed session, now
--   else:    user \t age in ms or '' \t kind or '' \t session \t away ('1', '0', '') \t info or '' \t replaces or ''
-- A sighting that would be a user's 33rd session is refused: by `strict` all of them are.
-- Reply: {how many came online, ... (see close()), then the index of each refused, from 0}
--
-- The first lines are the lean path, for one plain mark in a room of members alone: what a web site
-- does at every request. It reads and writes just what the rest would, with nothing due and nobody
-- but members.
if ARGV[6] == 'plain' and #ARGV == 7 and ARGV[3] == '' and ARGV[5] == '' then
  local call = redis.call
  local clock = call('TIME')
  local store_now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local now = tonumber(ARGV[1]) or store_now
  local meta = call('HMGET', KEYS[1], 'window', 'mixed', 'renewed', 'seq', 'listed', 'peak:people', 'peak:member')
  if meta[1] and not meta[2] and math.abs(clock[1] - meta[3]) < 3600 then
    local function int(number) return string.format('%.0f', number) end
    local window = tonumber(meta[1])
    local seen = call('ZSCORE', KEYS[2], ARGV[7])
    if seen and tonumber(seen) > now - window then
      call('ZADD', KEYS[2], int(now), ARGV[7])
      return {0, window, 0, -1, -1, 0}
    end
    local first = call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
    if first[2] and tonumber(first[2]) > now - window and meta[4] and call('XLEN', KEYS[10]) > 0 then
      call('ZREM', KEYS[6], ARGV[7])
      call('ZADD', KEYS[2], int(now), ARGV[7])
      local seq, count = int(meta[4] + 1), call('ZCARD', KEYS[2])
      local fields, listed, before = {'seq', seq}, -1, tonumber(meta[5] or 0)
      if count > tonumber(meta[6] or 0) then
        fields = {'seq', seq, 'peak:people', count, 'peak:people:at', int(now)}
      end
      if count > tonumber(meta[7] or 0) then
        local n = #fields
        fields[n + 1], fields[n + 2], fields[n + 3], fields[n + 4] = 'peak:member', count, 'peak:member:at', int(now)
      end
      if math.abs(count - before) * 8 >= math.max(before, 1) and count ~= before then
        listed = count
        fields[#fields + 1], fields[#fields + 2] = 'listed', count
      end
      call('HSET', KEYS[1], unpack(fields))
      call('XADD', KEYS[10], 'MINID', '~', int(seq - 10000), seq .. '-0', 'at', int(now), 'told', 1,
        'events', 'jm\t' .. ARGV[7])
      return {1, window, 0, listed, -1, 0}
    end
  end
end

--#include parts/room.lua
--#include parts/sessions.lua
--#include parts/users.lua

local MOST_SESSIONS = 32

-- What one sighting of a session says; nil: it would be one session too many.
local function see_session(record, sighting, newest)
  if sighting.session == '' and sighting.away == '' and sighting.info == '' and not record.sessions then
    return {changed = false}
  end
  local list = sessions_of(record)
  local was_away = is_away(list)
  local found, named_ones = nil, 0
  for _, one in ipairs(list) do
    if one.name == sighting.session then found = one end
    if one.name ~= '' then named_ones = named_ones + 1 end
  end
  if not found then
    if sighting.session ~= '' and named_ones >= MOST_SESSIONS then return nil end
    found = {name = sighting.session, ms = sighting.at, away = '', info = ''}
    list[#list + 1] = found
  end
  local away, info = found.away, found.info
  found.ms = sighting.aged and math.max(found.ms, sighting.at) or sighting.at
  if newest then
    if sighting.away ~= '' then found.away = sighting.away == '1' and '1' or '' end
    if sighting.info ~= '' then found.info = sighting.info ~= '{}' and sighting.info or '' end
  end
  local now_away = is_away(list)
  return {
    list = list, session = found, away = now_away,
    changed = away ~= found.away or info ~= found.info or was_away ~= now_away,
  }
end

local function say(type, record, at, saw, was)
  if saw.list then
    tell(type, record.kind, record.user, at, saw.session.name, saw.away and '1' or '0', saw.session.info, was)
  elseif was ~= '' then
    tell(type, record.kind, record.user, at, '', '0', '', was)
  else
    tell(type, record.kind, record.user, at)
  end
end

-- A sighting older than the window brings nobody back: it is remembered, if nothing newer is.
local function remember(record, sighting)
  local newest = math.max(record.member_last or 0, record.hidden_last or 0)
  local kind = sighting.kind ~= '' and sighting.kind or record.hidden_last and 'h' or 'm'
  if record.kind or newest > sighting.at or sighting.at <= now - retention then return end
  if kind == 'm' then
    record.member_last, record.hidden_last = sighting.at, nil
  elseif kind == 'h' then
    record.hidden_last = sighting.at
  end
end

-- Answer 1 when this made her online, 0 when not, nil when it is refused.
local function see(record, sighting, replaced)
  if sighting.aged and record.left and sighting.at <= record.left then return 0 end
  expire(record)
  if sighting.at <= cut then
    remember(record, sighting)
    return 0
  end
  local at, newest = sighting.at, not (sighting.aged and record.seen and record.seen > sighting.at)
  local saw = see_session(record, sighting, newest)
  if not saw then return nil end
  if replaced and not (sighting.aged and replaced.seen and replaced.seen > at) then leave(replaced, at) end
  local joined = record.kind == nil
  if joined then
    record.kind = sighting.kind ~= '' and sighting.kind or record.hidden_last and 'h' or 'm'
    record.hidden_last = nil
    if record.kind ~= 'h' then record.member_last = nil end
    record.seen = at
    say('j', record, at, saw, '')
  else
    local was = ''
    record.seen = sighting.aged and math.max(record.seen, at) or at
    if newest and sighting.kind ~= '' and sighting.kind ~= record.kind then
      was = record.kind
      -- to outsiders who hides has left: what they may know of her stays at this moment
      if sighting.kind == 'h' then
        record.member_last = was == 'm' and at or record.member_last
      else
        record.member_last = nil
      end
      record.kind = sighting.kind
    end
    if was ~= '' or saw.changed then say('u', record, at, saw, was) end
    counted = counted or was ~= ''
  end
  if saw.list then record.sessions = pack_sessions(saw.list) end
  counted = counted or joined
  return joined and 1 or 0
end

local function parse(argument)
  local user, age, kind, session, away, info, replaces =
    string.match(argument, '^([^\t]*)\t(%d*)\t(%a?)\t([^\t]*)\t([01]?)\t([^\t]*)\t([^\t]*)$')
  if not user then
    return {user = argument, at = now, kind = '', session = '', away = '', info = '', replaces = ''}
  end
  return {user = user, aged = age ~= '', at = now - (tonumber(age) or 0), kind = kind, session = session,
    away = away, info = info, replaces = replaces}
end

settle()
local most = math.max(10, math.min(SWEPT_AT_MOST, #ARGV - 6))
local swept_clean = sweep(most) < most
local told_by_sweep = #told
local joined, refused = 0, {}

if ARGV[6] == 'plain' and swept_clean
  and card[ONLINE.h] + card[ONLINE.g] + card[ONLINE.b] + card[LAST.h] + card[SESSIONS] == 0 then
  -- Members alone, and whoever is in the set is online: one ZADD tells whether all of them were there.
  local moment, values = int(now), {}
  for i = 7, #ARGV do
    values[#values + 1] = moment
    values[#values + 1] = ARGV[i]
  end
  local same = call('ZCOUNT', ONLINE.m, moment, moment)
  local changed = call('ZADD', ONLINE.m, 'XX', 'CH', unpack(values))
  if changed < #ARGV - 6 then
    local joiners, users = values, {unpack(ARGV, 7)}
    if changed > 0 or same > 0 then
      local scores = call('ZMSCORE', ONLINE.m, unpack(users))
      joiners, users = {}, {}
      for i = 7, #ARGV do
        if not scores[i - 6] then
          joiners[#joiners + 1] = moment
          joiners[#joiners + 1] = ARGV[i]
          users[#users + 1] = ARGV[i]
        end
      end
    end
    joined = #users
    if joined > 0 then
      add(ONLINE.m, joiners)
      if card[LAST.m] > 0 then remove('ZREM', LAST.m, users) end
      for i = 1, joined do told[#told + 1] = 'jm\t' .. users[i] end
      counted = true
    end
  end
else
  local sightings, users, index = {}, {}, {}
  local function know(user)
    if user ~= '' and not index[user] then
      users[#users + 1] = user
      index[user] = #users
    end
  end
  for i = 7, #ARGV do
    local sighting = parse(ARGV[i])
    sightings[#sightings + 1] = sighting
    know(sighting.user)
    know(sighting.replaces)
  end
  local records = load(users)
  for i, sighting in ipairs(sightings) do
    local came = see(records[index[sighting.user]], sighting, records[index[sighting.replaces]])
    if came then joined = joined + came else refused[#refused + 1] = i - 1 end
  end
  if #refused > 0 and ARGV[6] ~= 'lenient' then
    while #told > told_by_sweep do table.remove(told) end
    counted = false
    close(0)
    return redis.error_reply('HERENOW a user has at most ' .. MOST_SESSIONS .. ' sessions')
  end
  save(records)
end

local reply = close(joined)
for _, i in ipairs(refused) do reply[#reply + 1] = i end
return reply
