-- Rooms as the list has them, busiest first. KEYS: 1 rooms. ARGV: 1 first and 2 last rank, from 0
-- Reply: rooms, each with its score
return redis.call('ZREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')
