-- Sightings, recorded. See touch.lua.
-- reads: nothing
-- writes: nothing
--#include room/_room.lua
--#include sighting/_sessions.lua
--#include sighting/_users.lua
--#include sighting/_late.lua

local MOST_SESSIONS = 32
local how, sightings  -- see touch.lua
--#fast
--#include sighting/_fast_batch.lua
--#end

-- The kind of a session's beat, which says it where the user is offline.
local USUAL = {M = 'm', H = 'h', G = 'g', B = 'b'}

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

-- Who shows themselves comes, to outsiders, with all their sessions at this moment, one after the other, this one
-- first: when each was seen before, nobody learns. Answer what is to be told of the others.
local function show_sessions(saw, at)
  local list, updates, away = {saw.session}, {}, nil
  saw.session.ms = at
  saw.away = is_away(list)
  away = saw.away
  for _, one in ipairs(saw.list) do
    if one ~= saw.session then
      one.ms = at
      list[#list + 1] = one
      local was_away = away
      away = is_away(list)
      if one.away ~= '' or one.info ~= '' or away ~= was_away then
        updates[#updates + 1] = {session = one, away = away, list = list}
      end
    end
  end
  saw.list = list
  return updates
end

-- A sighting older than the window brings nobody back: it is remembered, if nothing newer is.
local function remember(record, sighting)
  local newest = math.max(record.member_last or 0, record.hidden_last or 0)
  local kind = sighting.kind ~= '' and sighting.kind or record.hidden_last and 'h' or 'm'
  if record.kind or newest > sighting.at or sighting.at <= now - retention then return end
  sighted(kind, record.user, sighting.at)
  if kind == 'm' then
    record.member_last, record.hidden_last = sighting.at, nil
  elseif kind == 'h' then
    record.hidden_last = sighting.at
  end
end

-- Answer 1 when this made them online, 0 when not, nil when it is refused.
local function see(record, sighting, replaced)
  if sighting.aged and sighting.at <= math.max(record.left or 0, record.hidden_left or 0) then return 0 end
  expire(record)
  local usual = USUAL[sighting.kind]
  if usual then sighting.kind = record.kind and '' or record.hidden_last and 'h' or usual end
  if sighting.at <= cut then
    remember(record, sighting)
    return 0
  end
  local at, newest = sighting.at, not (sighting.aged and record.seen and record.seen > sighting.at)
  drop_over(record)
  local saw = see_session(record, sighting, newest)
  if not saw then return nil end
  if replaced and not (sighting.aged and replaced.seen and replaced.seen > at) then
    local kind = replaced.kind
    if leave(replaced, at) and at < now then late_joins[#late_joins + 1] = {from = at, kind = kind, by = -1} end
  end
  local joined = record.kind == nil
  if joined then
    record.kind = sighting.kind ~= '' and sighting.kind or record.hidden_last and 'h' or 'm'
    record.hidden_last = nil
    if record.kind ~= 'h' then record.member_last = nil end
    record.seen = at
    say('j', record, at, saw, '')
  else
    local was, seen, updates = '', record.seen, {}
    record.seen = sighting.aged and math.max(record.seen, at) or at
    if newest and sighting.kind ~= '' and sighting.kind ~= record.kind then
      was = record.kind
      -- to outsiders who hides has left: they were last seen before that
      if sighting.kind == 'h' then
        record.member_last = was == 'm' and seen or record.member_last
        record.left = math.max(record.left or at, at)
      else
        record.member_last = nil
        if was == 'h' then
          if saw.list then updates = show_sessions(saw, at) end
          if at < now then
            late_joins[#late_joins + 1] = {from = at, kind = sighting.kind, by = 1}
            late_joins[#late_joins + 1] = {from = at, kind = 'h', by = -1}
          end
        end
      end
      record.kind = sighting.kind
    end
    if was ~= '' or saw.changed then say('u', record, at, saw, was) end
    for _, one in ipairs(updates) do say('u', record, at, one, '') end
    counted = counted or was ~= ''
  end
  local before = record.before
  sighted(record.kind, record.user, at, before.kind == record.kind and before.seen or nil)
  if joined and at < now then joined_late(record.user, record.kind, at, before.kind and before.seen) end
  if saw.list then record.sessions = pack_sessions(saw.list) end
  counted = counted or joined
  return joined and 1 or 0
end

-- The sightings as columns: a table each would cost more than all that is done with most of them.
local function parse()
  local batch = {user = {}, age = {}, kind = {}, session = {}, away = {}, info = {}, replaces = {}, times = {}}
  local times = batch.times
  if how == 'aged' then
    batch.aged = true
    for i = 1, #sightings, 2 do
      local n, user, age = (i + 1) / 2, sightings[i], sightings[i + 1] + late
      batch.user[n], batch.age[n] = user, age > 0 and age or ''
      times[user] = (times[user] or 0) + 1
    end
    return batch
  end
  for n = 1, #sightings do
    local user, age, kind, session, away, info, replaces =
      string.match(sightings[n], '^([^\t]*)\t(%d*)\t(%a?)\t([^\t]*)\t([01]?)\t([^\t]*)\t([^\t]*)$')
    if not user then user, age, kind, session, away, info, replaces = sightings[n], '', '', '', '', '', '' end
    if late > 0 then age = (tonumber(age) or 0) + late end
    batch.user[n], batch.age[n], batch.kind[n], batch.session[n] = user, age, kind, session
    batch.away[n], batch.info[n], batch.replaces[n] = away, info, replaces
    times[user] = (times[user] or 0) + 1
    if age ~= '' then batch.aged = true end
    if replaces ~= '' then times[user], times[replaces] = 2, 2 end
  end
  return batch
end

-- The indexes of all of them.
local function everyone(batch)
  local all = {}
  for i = 1, #batch.user do all[i] = i end
  return all
end

local function sighting_of(batch, i)
  return {user = batch.user[i], aged = batch.age[i] ~= '', at = now - (tonumber(batch.age[i]) or 0),
    kind = batch.kind[i] or '', session = batch.session[i] or '', away = batch.away[i] or '',
    info = batch.info[i] or '', replaces = batch.replaces[i] or ''}
end
