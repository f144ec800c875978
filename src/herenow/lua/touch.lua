-- Touch: record sightings of up to 1,000 users; whoever was offline joins.
--
-- KEYS and ARGV 1-8: see parts/room.lua.
-- ARGV: 9 'plain' | 'aged' | 'strict' | 'lenient', 10... one sighting each:
--   plain:   the user alone, each once: a member's or nobody's kind, the unnamed session, now
--   aged:    two each, the user and the age in ms; else as plain, but as often as she was seen
--   else (a kind's letter is a capital where it is the user's only if they are offline, and did not leave hidden):
--            user \t age in ms or '' \t kind or '' \t session \t away ('1', '0', '') \t info or '' \t replaces or ''
-- ARGV 1 may also be '@' and a moment of the store's clock: how long ago sightings were was reckoned at that
-- moment, at the latest, and what this call is late by is added to it; '@' alone where the caller knows none.
-- A sighting that would be a user's 33rd session is refused: by `strict` all of them are.
-- Reply: {how many came online, ... (see close()), then the index of each refused, from 0}
--   With '@': {the store's clock in ms, that}
-- One plain mark in a room of members alone goes by mark.lua first.
local KEYS, ARGV = KEYS, ARGV
local dated, late = string.sub(ARGV[1], 1, 1) == '@', 0
if dated then
  local clock = redis.call('TIME')
  dated = clock[1] * 1000 + math.floor(clock[2] / 1000)
  late = dated - (tonumber(string.sub(ARGV[1], 2)) or dated)
  if late < 20 then late = 0 end
end
if late == 0 and ARGV[9] == 'plain' and #ARGV == 10 and ARGV[3] == '' and ARGV[5] == '' and ARGV[7] == '' then
  local function mark(META, MEMBERS, LAST_SEEN, EVENTS, UNIQUES, USER, DAY, LAST_HIDDEN, SESSIONS)
--#include parts/mark.lua
  end
  local marked = mark(KEYS[1], KEYS[2], KEYS[6], KEYS[10], KEYS[12], ARGV[10], ARGV[8], KEYS[7], KEYS[8])
  if marked then return dated and {dated, marked} or marked end
end

--#include parts/seeing.lua
--#include parts/open.lua
--#include parts/see_all.lua
