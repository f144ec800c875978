-- Touch: record sightings of up to 1,000 users; whoever was offline joins.
--
-- KEYS and ARGV: those of every script that writes (see room/_room.lua), then how ('plain', 'aged', 'strict' or
-- 'lenient') sightings are given, and these:
--   plain:   the user alone, each once: a member's or nobody's kind, the unnamed session, now
--   aged:    two each, the user and the age in ms; else as plain, but as often as they were seen
--   else (a kind's letter is a capital where it is the user's only if they are offline, and did not leave hidden):
--            user \t age in ms or '' \t kind or '' \t session \t away ('1', '0', '') \t info or '' \t replaces or ''
-- The clock may also be '@' and a moment of the store's clock: how long ago sightings were was reckoned at that
-- moment, at the latest, and what this call is late by is added to it; '@' alone where the caller knows none.
-- A sighting that would be a user's 33rd session is refused: by `strict` all of them are.
-- Reply: {how many came online, ... (see close()), then the index of each refused, from 0}
--   With '@': {the store's clock in ms, that}
-- One plain mark in a room of members alone goes by mark.lua first.
-- reads: nothing
-- writes: nothing
--#keys ROOM UNIQUES
--#args WRITE how sightings...
local KEYS, ARGV = KEYS, ARGV
local dated, late = string.sub(ARGV.now, 1, 1) == '@', 0
if dated then
  local clock = redis.call('TIME')
  dated = clock[1] * 1000 + math.floor(clock[2] / 1000)
  late = dated - (tonumber(string.sub(ARGV.now, 2)) or dated)
  if late < 20 then late = 0 end
end
--#fast
if late == 0 and ARGV.how == 'plain' and #ARGV == at(ARGV.sightings)
  and ARGV.window_named == '' and ARGV.retention_named == '' and ARGV.history_named == '' then
  local function mark(META, MEMBERS, LAST_SEEN, EVENTS, UNIQUES, USER, DAY, OTHERS, LAST_HIDDEN, SESSIONS)
--#include sighting/_fast_mark.lua
  end
  local marked = mark(KEYS.meta, KEYS.online_member, KEYS.last_member, KEYS.events, KEYS.uniques_member,
    ARGV.sightings, ARGV.day, at(KEYS.online_hidden), KEYS.last_hidden, KEYS.sessions)
  if marked then return dated and {dated, marked} or marked end
end
--#end

--#include sighting/_seeing.lua
how, sightings = ARGV.how, {unpack(ARGV, at(ARGV.sightings))}
--#include room/_open.lua
--#include sighting/_see_all.lua
