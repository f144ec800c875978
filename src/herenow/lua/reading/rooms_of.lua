-- Name the rooms in which a user may be.
-- KEYS: 1 rooms-of:<user> (see rooms_note.lua)
-- ARGV: none
-- Reply: the rooms
-- reads: rooms-of
-- writes: nothing
--#keys rooms_of
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS.rooms_of, '(' .. string.format('%.17g', now), '+inf')
