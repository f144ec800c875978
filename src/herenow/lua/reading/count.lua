-- Count who is online. No look.lua: as short as can be, for this is asked at every page.
-- KEYS: 1 meta | 2... one online:<kind> or several. ARGV: see reading/_look.lua
-- Reply: the count, or with several keys a list of them
-- reads: meta online
-- writes: nothing
--#keys meta online...
--#args LOOK
--#include reading/_wide.lua
local call = redis.call
local clock = call('TIME')
local now = tonumber(ARGV.now) or clock[1] * 1000 + math.floor(clock[2] / 1000)
local window = tonumber(call('HGET', KEYS.meta, 'window') or nil)
if not window then
--#include room/_lost.lua
  window = window or tonumber(ARGV.window)
end
local asked = tonumber(ARGV.asked) or window
if asked > window then return too_wide(asked, window, "the room's") end
local since = now - asked + 1  -- and none is counted whose moment is yet to come: see room/_ahead.lua
if #KEYS == at(KEYS.online) then return call('ZCOUNT', KEYS.online, since, now) end
local counts = {}
for i = at(KEYS.online), #KEYS do counts[#counts + 1] = call('ZCOUNT', KEYS[i], since, now) end
return counts
