-- Leave: end sessions of up to 1,000 users, one each or everything of theirs.
--
-- KEYS and ARGV 1-8: see room/_room.lua. ARGV, from 9 on three for each: user, 'all' | 'session', the session;
--   a user may come several times
-- Reply: {how many this made offline, ... (see close())}
-- reads: nothing
-- writes: nothing
--#keys ROOM UNIQUES
--#args WRITE leaves...
--#include room/_room.lua
--#include sighting/_sessions.lua
--#include sighting/_users.lua

-- Ending a session they do not have changes nothing. With another named one fresh, what is left
-- counts; unnamed sightings alone do not hold them.
local function end_session(record, name)
  expire(record)
  if not record.kind then return false end
  drop_over(record)
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

--#include room/_open.lua
local users, index = {}, {}
for i = at(ARGV.leaves), #ARGV, 3 do
  local user = ARGV[i]
  if not index[user] then
    users[#users + 1] = user
    index[user] = #users
  end
end
settle()
at_once = #users
sweep(math.max(10, math.min(SWEPT_AT_MOST, at_once)))
local records, left = load(users), 0
for i = at(ARGV.leaves), #ARGV, 3 do
  local record, ended = records[index[ARGV[i]]], nil
  open_to_all = open_to_all or not hides(record)
  if ARGV[i + 1] == 'all' then ended = leave(record, now) else ended = end_session(record, ARGV[i + 2]) end
  if ended then left = left + 1 end
end
save(records)
return close(left)
