-- Forget: erase one user from a room: online, last seen, sessions, leaves, and every event entry that
-- names them. No leave is told; the counter skips a number, and that hole makes watchers start over.
--
-- Minutes that are over count them still, and so do the uniques: a HyperLogLog forgets nobody.
--
-- KEYS and ARGV 1-8: see room/_room.lua. ARGV: 9 user
-- Reply: {1 when there was anything of theirs, else 0}. Cost: O(events), at most about 10,000.
-- reads: events
-- writes: online last sessions left events
--#keys ROOM UNIQUES
--#args WRITE user
--#include room/_room.lua
--#include room/_open.lua
local found, shown = 0, 0  -- all that was theirs, and what of it was there for outsiders
for i = at(KEYS.online_member), at(KEYS.left) do
  local key = KEYS[i]
  local there = call(key == SESSIONS and 'HDEL' or 'ZREM', key, ARGV.user)
  shrunk[key] = there > 0
  found = found + there
  if key ~= ONLINE.h and key ~= LAST.h and key ~= SESSIONS then shown = shown + there end
  if key == LEFT then found = found + call('ZREM', LEFT, '\t' .. ARGV.user) end
end
local start, seen = '-', '0'
while true do
  local entries = call('XRANGE', EVENTS, start, '+', 'COUNT', 100)
  for _, entry in ipairs(entries) do
    local seen_before = seen
    seen = string.match(entry[1], '^%d+')
    for user in string.gmatch(entry[2][6], '[^\t\n]+\t([^\t\n]*)[^\n]*') do
      if user == ARGV.user then
        call('XDEL', EVENTS, entry[1])
        found = found + 1
        if seen ~= seen_before then shown = shown + 1 end  -- not of the hidden alone
        break
      end
    end
  end
  if #entries < 100 then break end
  start = '(' .. entries[100][1]
end
if found > 0 and stored.seq then
  if shown > 0 then hole = 1 end
  ring(next_id(1 - hole, 0))
end
keep_minutes()
return {found > 0 and 1 or 0}
