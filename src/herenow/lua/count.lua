-- Count who is online.
-- KEYS: 1 meta | 2... one online:<kind> or several. ARGV: see parts/look.lua. Reply: a count a key
--#include parts/look.lua
--#include parts/window.lua
local counts = {}
for i = 2, #KEYS do counts[i - 1] = call('ZCOUNT', KEYS[i], '(' .. int(cut), '+inf') end
return counts
