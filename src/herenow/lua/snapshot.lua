-- One consistent moment of a room: its first page, the counts, and the number of the last event.
-- KEYS: all ten of a room. ARGV: see parts/look.lua, 5 kinds, 6 limit
-- Reply: that of parts/page.lua, then the count of each kind (m, h, g, b), then the event counters (see
-- parts/look.lua), then
-- the history
-- reads: online
-- writes: nothing
--#keys ROOM
--#args LOOK kinds limit
--#include parts/look.lua
--#include parts/window.lua
--#include parts/page.lua
--#include parts/history.lua
local reply = page(ARGV.kinds, tonumber(ARGV.limit), '', '')
for i = at(KEYS.online_member), at(KEYS.online_bot) do reply[#reply + 1] = call('ZCOUNT', KEYS[i], '(' .. int(cut), now) end
reply[#reply + 1] = {counter, shown_counter}
reply[#reply + 1] = history()
return reply
