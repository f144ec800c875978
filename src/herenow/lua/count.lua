-- Count who is online. No look.lua: as short as can be, for this is asked at every page.
-- KEYS: 1 meta | 2... one online:<kind> or several. ARGV: see parts/look.lua
-- Reply: the count, or with several keys a list of them
--#include parts/wide.lua
local call = redis.call
local clock = call('TIME')
local now = tonumber(ARGV[1]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
local window = tonumber(call('HGET', KEYS[1], 'window') or nil)
if not window then
--#include parts/lost.lua
  window = window or tonumber(ARGV[2])
end
local asked = tonumber(ARGV[3]) or window
if asked > window then return too_wide(asked, window, "the room's") end
local since = now - asked + 1  -- and none is counted whose moment is yet to come: see parts/ahead.lua
if #KEYS == 2 then return call('ZCOUNT', KEYS[2], since, now) end
local counts = {}
for i = 2, #KEYS do counts[i - 1] = call('ZCOUNT', KEYS[i], since, now) end
return counts
