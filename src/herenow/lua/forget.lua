-- Forget: erase one user from a room: online, last seen, sessions, leaves, and every event entry that
-- names her. No leave is told; the counter skips a number, and that hole makes watchers start over.
--
-- KEYS: see parts/room.lua. ARGV: 1 user
-- Reply: 1 when there was anything of hers, else 0. Cost: O(events), at most about 10,000.
--#include parts/ring.lua
local found = 0
-- a wrong type is told before anything is written
redis.call('HLEN', KEYS[1])
redis.call('XLEN', KEYS[10])
for i = 2, 9 do redis.call(i == 8 and 'HLEN' or 'ZCARD', KEYS[i]) end
for i = 2, 9 do
  found = found + redis.call(i == 8 and 'HDEL' or 'ZREM', KEYS[i], ARGV[1])
end
local start = '-'
while true do
  local entries = redis.call('XRANGE', KEYS[10], start, '+', 'COUNT', 100)
  for _, entry in ipairs(entries) do
    for user in string.gmatch(entry[2][6], '[^\t\n]+\t([^\t\n]*)[^\n]*') do
      if user == ARGV[1] then
        redis.call('XDEL', KEYS[10], entry[1])
        found = found + 1
        break
      end
    end
  end
  if #entries < 100 then break end
  start = '(' .. entries[100][1]
end
if found > 0 and redis.call('HEXISTS', KEYS[1], 'seq') == 1 then
  ring(redis.call('HINCRBY', KEYS[1], 'seq', 1))
end
return found > 0 and 1 or 0
