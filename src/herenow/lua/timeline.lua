-- Timeline: touches and counts, each at a moment of its own, one after the other in one call.
--
-- A log's day has 86,400 seconds with somebody coming in most of them: as many calls would cost more than
-- all that they do. Each step is the very script of its name, so that it does what that does.
--
-- KEYS: the first 11 of parts/room.lua, then the uniques of each day
-- ARGV: of each step: 'touch' or 'count', how many arguments it has, how many KEYS stand before its uniques
--   or 0 for none, these arguments
-- Reply: the steps' replies
local steps = {
  touch = function(KEYS, ARGV)
--#include touch.lua
  end,
  count = function(KEYS, ARGV)
--#include count.lua
  end,
}

local online, replies, at = {unpack(KEYS, 1, 5)}, {}, 1
while at <= #ARGV do
  local name, count = ARGV[at], tonumber(ARGV[at + 1])
  local arguments, before, keys = {unpack(ARGV, at + 3, at + 2 + count)}, tonumber(ARGV[at + 2]), online
  if name == 'touch' then
    keys = {unpack(KEYS, 1, 11)}
    for i = 1, before > 0 and 4 or 0 do keys[11 + i] = KEYS[before + i] end
  end
  replies[#replies + 1] = steps[name](keys, arguments)
  at = at + 3 + count
end
return replies
