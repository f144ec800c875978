-- Read the room, and begin: what a script does first. No function: to make one costs, with all that it uses.
-- reads: meta online last sessions left events samples uniques
-- writes: nothing
stored = call('HMGET', META, FIELDS.stored)
window = tonumber(stored.window or nil)
if not window then
--#include room/_lost.lua
  stored.window, lost = window and int(window), window ~= nil
  window = window or tonumber(ARGV.window)
end
retention = tonumber(stored.retention) or tonumber(ARGV.retention)
card = {[EVENTS] = call('XLEN', EVENTS), [SESSIONS] = call('HLEN', SESSIONS)}
for i = at(KEYS.online_member), at(KEYS.left) do
  if KEYS[i] ~= SESSIONS then card[KEYS[i]] = call('ZCARD', KEYS[i]) end
end
call('HLEN', KEYS.samples)
for i = at(KEYS.uniques_member), #KEYS do call('STRLEN', KEYS[i]) end
peaks = {people = tonumber(stored.peak_people) or 0, shown = tonumber(stored.peak_shown or nil), m = tonumber(stored.peak_member) or 0,
  h = tonumber(stored.peak_hidden) or 0, g = tonumber(stored.peak_guest) or 0, b = tonumber(stored.peak_bot) or 0}
kept = tonumber(stored.history) or tonumber(ARGV.history)
minute = tonumber(stored.minute)
top = stored.top and unpack_maxima(stored.top)
--#include room/_begin.lua
