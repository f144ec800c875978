-- The clock of the store that has a room.
-- KEYS: 1 meta, for its slot alone. ARGV: none. Reply: that clock in ms
-- reads: nothing
-- writes: nothing
--#keys meta
local clock = redis.call('TIME')
return clock[1] * 1000 + math.floor(clock[2] / 1000)
