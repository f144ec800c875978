-- Timeline: touches and counts, each at a moment of its own, one after the other in one call.
--
-- A log's day has 1,440 minutes with somebody coming in most of them: as many calls would cost more than all
-- that they do. Each touch does what touch.lua does, by the same parts; the room is read once, before the first,
-- and what each leaves in meta and samples is written once, after the last.
--
-- KEYS: the first 11 of room/_room.lua, then the uniques of each day
-- ARGV: 1-8 as in room/_room.lua, at the moment of the first step; then of each step: its moment in ms, 'count' or
--   how a touch tells its sightings ('aged', 'lenient': see touch.lua), how many KEYS stand before its day's
--   uniques or 0 for none, how many arguments its sightings are, and these
-- Reply: {that of touch.lua for all of them, then the four counts of each count: m h g b}
-- reads: nothing
-- writes: nothing
--#keys ROOM UNIQUES days...
--#args WRITE steps...
local dated, late = false, 0
--#include sighting/_seeing.lua
--#include room/_open.lua
held = {}

local function touch()
--#include room/_begin.lua
--#include sighting/_see_all.lua
end

local FIELD_AT = {}
for i, field in ipairs({FIELDS.stored}) do FIELD_AT[field] = i end

-- What a step would have written in meta is what the next one finds there.
local function keep()
  for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    held[field] = value
    if FIELD_AT[field] then stored[FIELD_AT[field]] = value end
  end
  fields = {}
end

-- What close() does, after the last step for all of them.
local function close_timeline(result)
  local history = write_history(set)
  for field, value in pairs(held) do set(field, value) end
  write_fields()
  renew(held_due)
  if held_bell then ring(held_bell) end
  local mixed = card[ONLINE.h] + card[ONLINE.g] + card[ONLINE.b] + card[LAST.h] + card[SESSIONS] > 0
  return {result, window, mixed and 1 or 0, -1, -1, 0, history}
end

local replies, joined, listed, at, uniques_at = {0}, 0, -1, at(ARGV.steps), 0
while at <= #ARGV do
  local moment, place, number = ARGV[at], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  how = ARGV[at + 1]
  if how == 'count' then
    local counts = count(tonumber(moment))
    for _, kind in ipairs(KINDS) do replies[#replies + 1] = counts[kind] end
  else
    if place ~= uniques_at then
      write_uniques()
      uniques_at = place
      for i, kind in ipairs(KINDS) do UNIQUES[kind] = KEYS[place + i] end
    end
    local day = place > 0 and int(math.floor(moment / DAY)) or ''
    ARGV.now, ARGV.day, sightings = moment, day, {unpack(ARGV, at + 4, at + 3 + number)}
    local reply = touch()
    joined = joined + reply[1]
    if reply[4] >= 0 then listed = reply[4] end
    keep()
  end
  at = at + 4 + number
end

local reply = close_timeline(joined)
reply[4] = listed
replies[1] = reply
return replies
