-- Look up users, up to 1,000.
-- KEYS: all of a room. ARGV: see reading/_look.lua, 5 '1' to see the hidden, 6... users
-- Reply: see reading/_lookup.lua
-- reads: nothing
-- writes: nothing
--#keys ROOM
--#args LOOK with_hidden users...
--#include reading/_look.lua
--#include reading/_lookup.lua
return lookup({unpack(ARGV, at(ARGV.users))})
