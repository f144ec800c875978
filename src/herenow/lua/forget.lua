-- Forget: erase one user from a room: online, last seen, sessions, leaves, and every event entry that
-- names her. No leave is told; the counter skips a number, and that hole makes watchers start over.
--
-- Minutes that are over count her still, and so do the uniques: a HyperLogLog forgets nobody.
--
-- KEYS and ARGV 1-8: see parts/room.lua. ARGV: 9 user
-- Reply: {1 when there was anything of hers, else 0}. Cost: O(events), at most about 10,000.
--#include parts/room.lua
--#include parts/open.lua
local found = 0
for i = 2, 9 do
  found = found + call(i == 8 and 'HDEL' or 'ZREM', KEYS[i], ARGV[9])
  if i == 9 then found = found + call('ZREM', LEFT, '\t' .. ARGV[9]) end
end
local start = '-'
while true do
  local entries = call('XRANGE', EVENTS, start, '+', 'COUNT', 100)
  for _, entry in ipairs(entries) do
    for user in string.gmatch(entry[2][6], '[^\t\n]+\t([^\t\n]*)[^\n]*') do
      if user == ARGV[9] then
        call('XDEL', EVENTS, entry[1])
        found = found + 1
        break
      end
    end
  end
  if #entries < 100 then break end
  start = '(' .. entries[100][1]
end
if found > 0 and stored[3] then
  ring(call('HINCRBY', META, 'seq', 1))
end
keep_minutes()
return {found > 0 and 1 or 0}
