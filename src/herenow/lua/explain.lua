-- All that is known of one user in a room.
-- KEYS: all ten of a room. ARGV: see parts/look.lua, 5 the user, 6 how many event entries to look through
-- Reply: {now, window, retention, scores in online:member, hidden, guest, bot, last:member, last:hidden, left,
--   packed sessions, the last event entries}; where there is no score: false
--#include parts/look.lua
local reply = {now, window, retention}
for _, i in ipairs({2, 3, 4, 5, 6, 7, 9}) do
  reply[#reply + 1] = call('ZSCORE', KEYS[i], ARGV[5])
end
reply[#reply + 1] = call('HGET', KEYS[8], ARGV[5])
reply[#reply + 1] = call('XREVRANGE', KEYS[10], '+', '-', 'COUNT', ARGV[6])
return reply
