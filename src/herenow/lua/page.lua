-- One page of who is online.
-- KEYS: all ten of a room. ARGV: see parts/look.lua, 5 kinds ('m', 'mh', ...), 6 limit, 7 score and 8 user
-- of the last one on the page before, or ''. Reply: see parts/page.lua
--#keys ROOM
--#args LOOK kinds limit score user
--#include parts/look.lua
--#include parts/window.lua
--#include parts/page.lua
return page(ARGV.kinds, tonumber(ARGV.limit), ARGV.score, ARGV.user)
