-- Members seen within a window that may be wider than the room's, gone or not.
-- KEYS: all of a room. ARGV: see reading/_look.lua, 5 '1' to see the hidden, 6 limit, or '' to count
-- Reply: the count, or for online:member, last:member, online:hidden, last:hidden: users each with a score.
--   Who hides may also stand in last:member, with an older score.
-- Cost: O(log n); with the hidden O(number of those).
-- reads: online last
-- writes: nothing
--#keys ROOM
--#args LOOK with_hidden limit
--#include reading/_look.lua
local asked = tonumber(ARGV.asked)
if asked > retention then return too_wide(asked, retention, 'the retention') end
local since = '(' .. int(now - asked)
if ARGV.limit ~= '' then
  local lists, limit = {}, tonumber(ARGV.limit)
  for i, key in ipairs({KEYS.online_member, KEYS.last_member, KEYS.online_hidden, KEYS.last_hidden}) do
    if i < 3 or ARGV.with_hidden == '1' then
      lists[i] = call('ZREVRANGEBYSCORE', key, now, since, 'WITHSCORES', 'LIMIT', 0, ARGV.with_hidden == '1' and 3 * limit or limit)
    end
  end
  return lists
end
local total = call('ZCOUNT', KEYS.online_member, since, now) + call('ZCOUNT', KEYS.last_member, since, now)
if ARGV.with_hidden == '1' then
  for _, key in ipairs({KEYS.online_hidden, KEYS.last_hidden}) do
    local hidden = call('ZRANGEBYSCORE', key, since, now)
    for i = 1, #hidden, 1000 do
      local known = call('ZMSCORE', KEYS.last_member, unpack(hidden, i, math.min(i + 999, #hidden)))
      for j = 1, #known do
        local seen = known[j] and tonumber(known[j])
        if not seen or seen <= now - asked or seen > now then total = total + 1 end
      end
    end
  end
end
return total
