-- All that is known of one user in a room.
-- KEYS: all ten of a room. ARGV: see parts/look.lua, 5 the user, 6 how many event entries to look through
-- Reply: {now, window, retention, scores in online:member, hidden, guest, bot, last:member, last:hidden, left
--   and of left as somebody hidden, packed sessions, the last event entries}; where there is no score: false
--#include parts/look.lua
local reply = {now, window, retention}
for _, i in ipairs({2, 3, 4, 5, 6, 7, 9}) do
  reply[#reply + 1] = call('ZSCORE', KEYS[i], ARGV[5])
end
reply[#reply + 1] = call('ZSCORE', KEYS[9], '\t' .. ARGV[5])
reply[#reply + 1] = call('HGET', KEYS[8], ARGV[5])
local entries = call('XREVRANGE', KEYS[10], '+', '-', 'COUNT', ARGV[6])
-- older ones are over, deleted or not (see parts/old_events.lua)
while #entries > 0 and tonumber(entries[#entries][2][2]) <= now - 86400000 do entries[#entries] = nil end
reply[#reply + 1] = entries
return reply
