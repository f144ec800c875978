-- Note in which rooms a user is.
-- KEYS: 1 rooms-of:<user>  zset: room -> until when they may be there, ms
-- ARGV: two each: room, for how many ms
-- Reply: how many rooms are new
-- reads: rooms-of
-- writes: rooms-of
--#keys rooms_of
--#args rooms...
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local over, new = redis.call('ZCOUNT', KEYS.rooms_of, '-inf', now), 0
if over > 0 then redis.call('ZREMRANGEBYRANK', KEYS.rooms_of, 0, over - 1) end
for i = at(ARGV.rooms), #ARGV, 2 do
  new = new + redis.call('ZADD', KEYS.rooms_of, 'GT', string.format('%.17g', now + ARGV[i + 1]), ARGV[i])
end
local last = redis.call('ZREVRANGE', KEYS.rooms_of, 0, 0, 'WITHSCORES')[2]
redis.call('PEXPIRE', KEYS.rooms_of, string.format('%.17g', last - now + 1))
return new
