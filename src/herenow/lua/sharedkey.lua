-- A random key that every process shares: the first one offered is it.
-- KEYS: 1 guests:<day>, or hosts  string. ARGV: 1 the one offered | 2 TTL in ms | 3 '1' to renew the TTL.
-- Reply: the key
local known = redis.call('GET', KEYS[1])
if not known then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
if ARGV[3] == '1' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return known
