-- Samples of several hours.
-- KEYS: samples:<hour>... (see file.lua). ARGV: 1 'minute' for each minute, or 'hour' for the maxima of the hours
-- Reply: for each hour: {gaps or '', field, maxima, ...}; the fields are minutes, or 'top'
-- reads: samples
-- writes: nothing
--#keys hours...
--#args step
local replies = {}
for i, key in ipairs(KEYS) do
  local reply = {redis.call('HGET', key, 'gaps') or ''}
  if ARGV.step == 'hour' then
    local top = redis.call('HGET', key, 'top')
    if top then reply[2], reply[3] = 'top', top end
  else
    local fields = redis.call('HKEYS', key)
    local values = #fields > 0 and redis.call('HMGET', key, unpack(fields)) or {}
    for j, field in ipairs(fields) do
      if field ~= 'gaps' and field ~= 'top' then
        reply[#reply + 1] = field
        reply[#reply + 1] = values[j]
      end
    end
  end
  replies[i] = reply
end
return replies
