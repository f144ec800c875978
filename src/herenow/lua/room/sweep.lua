-- Sweep: expire whoever's window is over, at most 250 a call, so that it never holds the store long.
--
-- KEYS and ARGV 1-8: see room/_room.lua.
-- Reply: {how many left, ... (see close()), when the next is due in ms or -1}, or {-1} for a room that is not there
-- reads: online
-- writes: nothing
--#keys ROOM UNIQUES
--#args WRITE
--#include room/_room.lua

--#include room/_open.lua
local there = stored.window and 1 or 0
for _, size in pairs(card) do there = there + size end
if there == 0 then return {-1} end

local swept = settle()
if swept == 0 then swept = sweep(SWEPT_AT_MOST) end
at_once = SWEPT_AT_MOST + 1
if swept == SWEPT_AT_MOST then behind = 2 end
local reply = close(swept)
local next_due = -1
for _, kind in ipairs(KINDS) do
  if card[ONLINE[kind]] > 0 then
    local first = call('ZRANGEBYSCORE', ONLINE[kind], '-inf', 4e15, 'WITHSCORES', 'LIMIT', 0, 1)
    if first[2] then
      local due = tonumber(first[2]) + window
      if next_due < 0 or due < next_due then next_due = due end
    end
  end
end
reply[#reply + 1] = next_due
return reply
