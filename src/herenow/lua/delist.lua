-- Take a room that is gone off the list, unless it was touched since its score was read.
-- KEYS: 1 rooms. ARGV: 1 room, 2 the score read. Reply: 1 when it was taken off, else 0
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or nil) ~= tonumber(ARGV[2]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
