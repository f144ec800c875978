-- Record that the store was away: the minutes of an outage are gaps.
-- KEYS: samples:<hour>..., hour after hour (see file.lua); `gaps` is a letter for each minute: 1 for a gap, else 0
-- ARGV: 1 the first and 2 the last minute of the outage, counted from 1970, 3 how long to keep it in ms
-- Reply: how many minutes are gaps that were none
local first, last, new = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
for i, key in ipairs(KEYS) do
  local start = (math.floor(first / 60) + i - 1) * 60
  local before = redis.call('HGET', key, 'gaps') or string.rep('0', 60)
  local letters = {}
  for j = 1, 60 do
    local minute = start + j - 1
    local letter = string.sub(before, j, j)
    if minute >= first and minute <= last then
      if letter == '0' then new = new + 1 end
      letter = '1'
    end
    letters[j] = letter
  end
  redis.call('HSET', key, 'gaps', table.concat(letters))
  if redis.call('PTTL', key) < tonumber(ARGV[3]) then redis.call('PEXPIRE', key, ARGV[3]) end
end
return new
