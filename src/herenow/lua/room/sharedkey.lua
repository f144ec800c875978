-- A random key that every process shares: the first one offered is it.
-- KEYS: 1 guests:<day>, or hosts  string. ARGV: 1 the one offered | 2 TTL in ms | 3 '1' to renew the TTL.
-- Reply: the key
-- reads: guests hosts
-- writes: guests hosts
--#keys key
--#args offered ttl renew
local known = redis.call('GET', KEYS.key)
if not known then
  redis.call('SET', KEYS.key, ARGV.offered, 'PX', ARGV.ttl)
  return ARGV.offered
end
if ARGV.renew == '1' then redis.call('PEXPIRE', KEYS.key, ARGV.ttl) end
return known
