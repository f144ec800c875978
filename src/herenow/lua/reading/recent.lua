-- What history has of late: the minutes that are not filed yet, the open one, and those since then that nobody
-- has closed, for nobody wrote.
--
-- KEYS: 1 meta | 2-5 online:member, hidden, guest, bot | 6 samples. ARGV: see reading/_look.lua,
--   5 '1' to see the hidden
-- Reply: {now, when history begins (to whoever asks) in ms or -1 for none, for how many ms it is kept, minute, maxima, ...}
-- reads: meta samples
-- writes: nothing
--#keys meta online:member online:hidden online:guest online:bot samples
--#args LOOK with_hidden
--#include reading/_look.lua
local KINDS = {'m', 'h', 'g', 'b'}
local ONLINE = {m = KEYS.online_member, h = KEYS.online_hidden, g = KEYS.online_guest, b = KEYS.online_bot}
local card
--#include history/_minutes.lua
local kept, since, minute, top, shown = unpack(call('HMGET', KEYS.meta, 'history', 'since', 'minute', 'top', 'since:shown'))
if ARGV.with_hidden ~= '1' and shown then since = shown end
if not minute or since == '' then return {now, -1, 0} end
local reply = call('HGETALL', KEYS.samples)
table.insert(reply, 1, kept)
table.insert(reply, 1, since)
table.insert(reply, 1, now)
reply[#reply + 1], reply[#reply + 2] = minute, top
count_minutes(math.max(minute + 1, math.floor((now - kept) / MINUTE)), math.floor(now / MINUTE), function(at, counts)
  reply[#reply + 1], reply[#reply + 2] = at, pack_maxima(counts)
end)
return reply
