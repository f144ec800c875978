-- All that is known of one user in a room.
-- KEYS: all of a room. ARGV: see reading/_look.lua, 5 the user, 6 how many event entries to look through,
--   7 '1' to see the hidden
-- Reply: {now, window, retention, scores in online:member, hidden, guest, bot, last:member, last:hidden, left
--   and of left as somebody hidden, packed sessions, the last event entries}; where there is no score: false
-- reads: online last sessions left events
-- writes: nothing
--#keys ROOM
--#args LOOK user limit with_hidden
--#include reading/_look.lua
local reply = {now, window, retention}
for i = at(KEYS.online_member), at(KEYS.left) do
  if KEYS[i] ~= KEYS.sessions then reply[#reply + 1] = call('ZSCORE', KEYS[i], ARGV.user) end
end
reply[#reply + 1] = call('ZSCORE', KEYS.left, '\t' .. ARGV.user)
reply[#reply + 1] = call('HGET', KEYS.sessions, ARGV.user)
-- events older than a day are over, deleted or not; of the hidden alone outsiders see none
local entries, last, newer = {}, '+', nil
repeat
  local part = call('XREVRANGE', KEYS.events, last, '-', 'COUNT', 200)
  for _, entry in ipairs(part) do
    if tonumber(entry[2][2]) <= now - 86400000 then part = {} break end
    if newer and (ARGV.with_hidden == '1' or string.match(newer[1], '^%d+') ~= string.match(entry[1], '^%d+')) then
      entries[#entries + 1] = newer
    end
    newer, last = entry, '(' .. entry[1]
  end
until #part < 200 or #entries >= tonumber(ARGV.limit)
if newer and #entries < tonumber(ARGV.limit) then entries[#entries + 1] = newer end
reply[#reply + 1] = entries
return reply
