-- Record minutes that are not known: gaps. Of an outage of the store those are they in which nobody wrote: who
-- recorded it may have been cut off alone, and what others wrote is known. Of a writer that was down or late, all.
--
-- KEYS: 1 meta | 2... samples:<hour>, hour after hour (see file.lua); `gaps` is a letter for each minute: 1 for a
--   gap, else 0
-- ARGV: 1 the first and 2 the last of these minutes, counted from 1970 | 3 '1': all of them, whoever wrote
-- Reply: how many minutes are gaps that were none
-- reads: meta samples
-- writes: samples
--#keys meta hours...
--#args first last all
local call, all = redis.call, ARGV.all == '1'
local first, last, new = tonumber(ARGV.first), tonumber(ARGV.last), 0
--#fields stored minute since silent history
local stored = call('HMGET', KEYS.meta, FIELDS.stored)
if not stored.minute then return 0 end  -- no history here
local written, begins = tonumber(stored.minute), math.floor(stored.since / 60000)
local ttl = string.format('%.0f', math.max(stored.history, 86400000) + 2 * 3600000)

local silent = {}
for from, to in string.gmatch(stored.silent or '', '(%d+)-(%d+)') do silent[#silent + 1] = {tonumber(from), tonumber(to)} end
local function nobody_wrote(minute)
  if minute > written then return true end
  for _, span in ipairs(silent) do
    if minute >= span[1] and minute <= span[2] then return true end
  end
end

for i = at(KEYS.hours), #KEYS do
  local start = (math.floor(first / 60) + i - at(KEYS.hours)) * 60
  local before = call('HGET', KEYS[i], 'gaps') or string.rep('0', 60)
  local letters, found = {}, 0
  for j = 1, 60 do
    local minute, letter = start + j - 1, string.sub(before, j, j)
    if letter == '0' and minute >= first and minute <= last
      and (all and minute >= begins or minute > begins and nobody_wrote(minute)) then
      letter, found = '1', found + 1
    end
    letters[j] = letter
  end
  if found > 0 then
    call('HSET', KEYS[i], 'gaps', table.concat(letters))
    if call('PTTL', KEYS[i]) < tonumber(ttl) then call('PEXPIRE', KEYS[i], ttl) end
  end
  new = new + found
end
return new
