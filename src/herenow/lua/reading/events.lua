-- The events of a room after a number, and what a watcher must know to believe them.
-- KEYS: 1 meta | 2 events | 3-6 online:*
-- ARGV: see reading/_look.lua, 5 the id of the entry after which, or '' for none of them, 6 how many entries at most,
--   7 '1' to see the hidden
-- Reply: {now, window, the counters (see reading/_look.lua), the number before the first event that is seen or -1, the
--   history, when the next is due or -1, the same of those who are seen, entries, how many there were}
-- reads: meta events online
-- writes: nothing
--#keys meta events online:member online:hidden online:guest online:bot
--#args LOOK after limit with_hidden
--#include reading/_look.lua
--#include reading/_history.lua
local due, due_seen = -1, -1
for i = at(KEYS.online_member), at(KEYS.online_bot) do
  local first = call('ZRANGEBYSCORE', KEYS[i], '-inf', 4e15, 'WITHSCORES', 'LIMIT', 0, 1)[2]
  if first then
    if due < 0 or first + window < due then due = first + window end
    if (KEYS[i] ~= KEYS.online_hidden or ARGV.with_hidden == '1') and (due_seen < 0 or first + window < due_seen) then due_seen = first + window end
    -- a moment that is yet to come is mended by a sweep: see room/_ahead.lua
    if due > now and call('ZCOUNT', KEYS[i], now + 1, 4e15) > 0 then due = now end
  end
end
local entries = {}
if ARGV.after ~= '' then entries = call('XRANGE', KEYS.events, '(' .. ARGV.after, '+', 'COUNT', ARGV.limit) end
-- those older than a day are over, deleted or not: when that is done may tell of the hidden
local fresh = {}
for _, entry in ipairs(entries) do
  if tonumber(entry[2][2]) > now - 86400000 then fresh[#fresh + 1] = entry end
end
--#fields counted born born:shown
local counted = call('HMGET', KEYS.meta, FIELDS.counted)
local born = counted.born
if ARGV.with_hidden ~= '1' and stored.seq_shown then born = shown_counter > 0 and (counted.born_shown or born) end
return {now, window, {counter, shown_counter}, tonumber(born or -1), history(), due, due_seen, fresh, #entries}
