-- Read the room, and begin: what a script does first. No function: to make one costs, with all that it uses.
stored = call('HMGET', META, unpack(FIELDS))
window = tonumber(stored[1] or nil)
if not window then
--#include parts/lost.lua
  stored[1], lost = window and int(window), window ~= nil
  window = window or tonumber(ARGV[2])
end
retention = tonumber(stored[2]) or tonumber(ARGV[4])
card = {[EVENTS] = call('XLEN', EVENTS), [SESSIONS] = call('HLEN', SESSIONS)}
for i = 2, 9 do
  if i ~= 8 then card[KEYS[i]] = call('ZCARD', KEYS[i]) end
end
call('HLEN', KEYS[11])
for i = 12, #KEYS do call('STRLEN', KEYS[i]) end
peaks = {people = tonumber(stored[7]) or 0, shown = tonumber(stored[20] or nil)}
for i, kind in ipairs(KINDS) do peaks[kind] = tonumber(stored[7 + i]) or 0 end
kept = tonumber(stored[12]) or tonumber(ARGV[6])
minute = tonumber(stored[13])
top = stored[14] and unpack_maxima(stored[14])
--#include parts/begin.lua
