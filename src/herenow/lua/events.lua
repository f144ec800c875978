-- The events of a room after a number, and what a watcher must know to believe them.
-- KEYS: 1 meta | 2 events | 3-6 online:*
-- ARGV: see parts/look.lua, 5 the number after which, or '' for none of them, 6 how many entries at most
-- Reply: {now, window, the counter or 0, the number before the room's first event or -1, the history,
--   when the next is due or -1, entries}
--#include parts/look.lua
--#include parts/history.lua
local due = -1
for i = 3, 6 do
  local first = call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2]
  if first then
    if due < 0 or first + window < due then due = first + window end
    -- a moment that is yet to come is mended by a sweep: see parts/ahead.lua
    if due > now and call('ZCOUNT', KEYS[i], now + 1, '+inf') > 0 then due = now end
  end
end
local entries = {}
if ARGV[5] ~= '' then entries = call('XRANGE', KEYS[2], '(' .. ARGV[5] .. '-0', '+', 'COUNT', ARGV[6]) end
return {now, window, tonumber(stored[3]) or 0, tonumber(call('HGET', KEYS[1], 'born')) or -1, history(), due, entries}
