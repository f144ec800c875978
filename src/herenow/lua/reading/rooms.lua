-- Rooms as the list has them, busiest first. KEYS: 1 rooms. ARGV: 1 first and 2 last rank, from 0
-- Reply: rooms, each with its score
-- reads: rooms
-- writes: nothing
--#keys rooms
--#args first last
return redis.call('ZREVRANGE', KEYS.rooms, ARGV.first, ARGV.last, 'WITHSCORES')
