-- One consistent moment of a room: its first page, the counts, and the number of the last event.
-- KEYS: all of a room. ARGV: see reading/_look.lua, 5 kinds, 6 limit
-- Reply: that of reading/_page.lua, then the count of each kind (m, h, g, b), then the event counters (see
-- reading/_look.lua), then
-- the history
-- reads: online
-- writes: nothing
--#keys ROOM
--#args LOOK kinds limit
--#include reading/_look.lua
--#include reading/_window.lua
--#include reading/_page.lua
--#include reading/_history.lua
local reply = page(ARGV.kinds, tonumber(ARGV.limit), '', '')
for i = at(KEYS.online_member), at(KEYS.online_bot) do reply[#reply + 1] = call('ZCOUNT', KEYS[i], '(' .. int(cut), now) end
reply[#reply + 1] = {counter, shown_counter}
reply[#reply + 1] = history()
return reply
