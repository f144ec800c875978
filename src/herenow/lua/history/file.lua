-- File minutes under their hours: out of samples, where those stand that were closed lately.
--
-- KEYS: 1 meta | 2 samples | 3... samples:<hour>, hour after hour  hash: minute -> maxima, `top` -> those of the
--   hour, `gaps` -> see outage.lua
-- ARGV: 1 the first hour, counted from 1970, 2 the hour now, which is not to be filed, 3 '1' where another
--   call follows, which looks for what is left
-- Reply: the first hour that is still to be filed, or -1
-- reads: meta samples
-- writes: meta samples
--#keys meta samples hours...
--#args first now more
local call, first = redis.call, tonumber(ARGV.first)
--#include history/_minutes.lua
local kept = tonumber(call('HGET', KEYS.meta, 'history') or nil) or 0
local ttl = string.format('%.0f', math.max(kept, 3600000) + 2 * 3600000)
for i = at(KEYS.hours), #KEYS do
  local hour, minutes = first + i - at(KEYS.hours), {}
  for minute = 0, 59 do minutes[minute + 1] = hour * 60 + minute end
  local found = call('HMGET', KEYS.samples, unpack(minutes))
  local fields, filed, top = {}, {}, nil
  for j, packed in ipairs(found) do
    if packed then
      local minute, counts = minutes[j], unpack_maxima(packed)
      local before = call('HGET', KEYS[i], minute)
      if before then counts = larger(counts, unpack_maxima(before)) end
      top = top and larger(top, counts) or counts
      filed[#filed + 1] = minute
      fields[#fields + 1] = minute
      fields[#fields + 1] = pack_maxima(counts)
    end
  end
  if top then
    local before = call('HGET', KEYS[i], 'top')
    if before then top = larger(top, unpack_maxima(before)) end
    call('HSET', KEYS[i], 'top', pack_maxima(top), unpack(fields))
    call('HDEL', KEYS.samples, unpack(filed))
    call('PEXPIRE', KEYS[i], ttl)
  end
end
if ARGV.more == '1' then return -1 end
local oldest
for _, minute in ipairs(call('HKEYS', KEYS.samples)) do
  local hour = math.floor(minute / 60)
  if not oldest or hour < oldest then oldest = hour end
end
if oldest then call('HSET', KEYS.meta, 'unfiled', oldest) else call('HDEL', KEYS.meta, 'unfiled') end
return oldest and oldest < tonumber(ARGV.now) and oldest or -1
