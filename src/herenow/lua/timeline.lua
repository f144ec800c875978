-- Timeline: touches and counts, each at a moment of its own, one after the other in one call.
--
-- A log's day has 86,400 seconds with somebody coming in most of them: as many calls would cost more than
-- all that they do. Each step is the very script of its name, so that it does what that does.
--
-- KEYS: see parts/room.lua
-- ARGV: of each step: 'touch' or 'count', how many arguments it has, these arguments
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
  local arguments = {unpack(ARGV, at + 2, at + 1 + count)}
  replies[#replies + 1] = steps[name](name == 'count' and online or KEYS, arguments)
  at = at + 2 + count
end
return replies
