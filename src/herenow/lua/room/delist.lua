-- Take a room that is gone off the list, unless it was touched since its score was read.
-- KEYS: 1 rooms. ARGV: 1 room, 2 the score read. Reply: 1 when it was taken off, else 0
-- reads: rooms
-- writes: rooms
--#keys rooms
--#args room score
if tonumber(redis.call('ZSCORE', KEYS.rooms, ARGV.room) or nil) ~= tonumber(ARGV.score) then return 0 end
return redis.call('ZREM', KEYS.rooms, ARGV.room)
