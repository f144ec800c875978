-- The random key of a day: the first one offered is it, for every process.
-- KEYS: 1 guests:<day>  string. ARGV: 1 the one offered, 2 TTL in ms. Reply: the key of that day
local known = redis.call('GET', KEYS[1])
if known then return known end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
