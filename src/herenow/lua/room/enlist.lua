-- Put a room on the list of rooms.
-- KEYS: 1 rooms  zset: room -> how many are online, and after the point the hour it was said in
-- ARGV: 1 room, 2 how many are online, or '' to keep what is there (at least 1), 3 TTL in ms, 4 how many others
-- Reply: a few other rooms at random, each with its score, whose counts may be stale
-- The hour makes the score of a room that was touched since differ from one that was not (see delist.lua).
-- reads: rooms
-- writes: rooms
--#keys rooms
--#args room count ttl others
local seconds = redis.call('TIME')[1]
local hour = math.floor(seconds / 3600) / 1e7
local before = tonumber(redis.call('ZSCORE', KEYS.rooms, ARGV.room) or nil)
local count = tonumber(ARGV.count) or math.floor(before or 1)
redis.call('ZADD', KEYS.rooms, string.format('%.17g', count + hour), ARGV.room)
if redis.call('PTTL', KEYS.rooms) < tonumber(ARGV.ttl) then redis.call('PEXPIRE', KEYS.rooms, ARGV.ttl) end
if ARGV.others == '0' then return {} end
return redis.call('ZRANDMEMBER', KEYS.rooms, ARGV.others, 'WITHSCORES')
