-- List who is online, newest first. All of them unless limited: O(n).
-- KEYS: 1 meta | 2... one online:<kind> or several. ARGV: see reading/_look.lua, 5 limit or -1
-- Reply: for each key its users; with several keys each followed by its score, to be merged
-- reads: online
-- writes: nothing
--#keys meta online...
--#args LOOK limit
--#include reading/_look.lua
--#include reading/_window.lua
local lists = {}
for i = at(KEYS.online), #KEYS do
  if #KEYS == at(KEYS.online) then
    lists[1] = call('ZREVRANGEBYSCORE', KEYS.online, now, '(' .. int(cut), 'LIMIT', 0, ARGV.limit)
  else
    lists[#lists + 1] = call('ZREVRANGEBYSCORE', KEYS[i], now, '(' .. int(cut), 'WITHSCORES', 'LIMIT', 0, ARGV.limit)
  end
end
return lists
