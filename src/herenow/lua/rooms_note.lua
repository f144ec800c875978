-- Note in which rooms a user is.
-- KEYS: 1 rooms-of:<user>  zset: room -> until when she may be there, ms
-- ARGV: two each: room, for how many ms
-- Reply: how many rooms are new
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local over, new = redis.call('ZCOUNT', KEYS[1], '-inf', now), 0
if over > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1) end
for i = 1, #ARGV, 2 do
  new = new + redis.call('ZADD', KEYS[1], 'GT', string.format('%.17g', now + ARGV[i + 1]), ARGV[i])
end
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('PEXPIRE', KEYS[1], string.format('%.17g', last - now + 1))
return new
