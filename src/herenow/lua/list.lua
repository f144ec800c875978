-- List who is online, newest first. All of them unless limited: O(n).
-- KEYS: 1 meta | 2... one online:<kind> or several. ARGV: see parts/look.lua, 5 limit or -1
-- Reply: for each key its users; with several keys each followed by its score, to be merged
--#include parts/look.lua
--#include parts/window.lua
local lists = {}
for i = 2, #KEYS do
  if #KEYS == 2 then
    lists[1] = call('ZREVRANGEBYSCORE', KEYS[2], now, '(' .. int(cut), 'LIMIT', 0, ARGV[5])
  else
    lists[i - 1] = call('ZREVRANGEBYSCORE', KEYS[i], now, '(' .. int(cut), 'WITHSCORES', 'LIMIT', 0, ARGV[5])
  end
end
return lists
