-- One consistent moment of a room for who watches some of its users: these, and what snapshot.lua tells beside.
-- KEYS: all of a room. ARGV: see reading/_look.lua, 5 '1' to see the hidden, 6... users
-- Reply: {now, the count of each kind (m, h, g, b), the event counters (see reading/_look.lua), the history,
--   for each thousand of the users what reading/_lookup.lua answers}
-- reads: online
-- writes: nothing
--#keys ROOM
--#args LOOK with_hidden users...
--#include reading/_look.lua
--#include reading/_window.lua
--#include reading/_history.lua
--#include reading/_lookup.lua
local reply = {now}
for i = at(KEYS.online_member), at(KEYS.online_bot) do reply[#reply + 1] = call('ZCOUNT', KEYS[i], '(' .. int(cut), now) end
reply[6], reply[7] = {counter, shown_counter}, history()
for i = at(ARGV.users), #ARGV, 1000 do
  reply[#reply + 1] = lookup({unpack(ARGV, i, math.min(i + 999, #ARGV))})
end
return reply
