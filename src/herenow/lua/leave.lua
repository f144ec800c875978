-- Leave: end one session of a user, or everything of hers.
--
-- KEYS and ARGV 1-8: see parts/room.lua. ARGV: 9 user, 10 'all' | 'session', 11 the session
-- Reply: {1 when this made her offline, ... (see close())}
--#include parts/room.lua
--#include parts/sessions.lua
--#include parts/users.lua

-- Ending a session she does not have changes nothing. With another named one fresh, what is left
-- counts; unnamed sightings alone do not hold her.
local function end_session(record, name)
  expire(record)
  if not record.kind then return false end
  local list, kept, ended, named_ones, seen = sessions_of(record), {}, nil, 0, 0
  local was_away = is_away(list)
  for _, one in ipairs(list) do
    if one.name == name then
      ended = one
    else
      kept[#kept + 1] = one
      seen = math.max(seen, one.ms)
      if one.name ~= '' then named_ones = named_ones + 1 end
    end
  end
  if not ended then return false end
  if named_ones == 0 then return leave(record, now) end
  record.seen = seen
  record.sessions = pack_sessions(kept)
  local away = is_away(kept)
  if away ~= was_away or ended.info ~= '' then
    tell('u', record.kind, record.user, now, name, away and '1' or '0', '', '')
  end
  return false
end

--#include parts/open.lua
settle()
sweep(10)
local records = load({ARGV[9]})
local left
if ARGV[10] == 'all' then left = leave(records[1], now) else left = end_session(records[1], ARGV[11]) end
save(records)
trim()
return close(left and 1 or 0)
