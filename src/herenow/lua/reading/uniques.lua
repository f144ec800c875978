-- How many different users were seen on the last days.
-- KEYS: uniques:<day>:<kind>..., each kind of a day, then the next day
-- ARGV: 1 the clock in ms, or '' for the store's | 2 the first day in KEYS, counted from 1970 | 3 how many kinds
--   4 how many days, up to the day now
-- Reply: {how many, the day now}; {-1, the day now} where KEYS are of other days
-- reads: uniques
-- writes: nothing
--#keys days...
--#args now first kinds days
local today = math.floor((tonumber(ARGV.now) or redis.call('TIME')[1] * 1000) / 86400000)
local kinds, days = tonumber(ARGV.kinds), tonumber(ARGV.days)
local first = (today - days + 1 - tonumber(ARGV.first)) * kinds + 1
if first < 1 or first + days * kinds - 1 > #KEYS then return {-1, today} end
-- of a single key PFCOUNT would write down what it found: the first stands there twice
return {redis.call('PFCOUNT', KEYS[first], unpack(KEYS, first, first + days * kinds - 1)), today}
