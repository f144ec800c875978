-- Count users on a day that the caller did not know when it wrote (see history/_sampling.lua).
-- KEYS: 1 uniques:<day>:<kind>. ARGV: 1 how long to keep it in ms, 2... users. Reply: 1 when that changed it
-- reads: uniques
-- writes: uniques
--#keys uniques
--#args ttl users...
local changed = redis.call('PFADD', KEYS.uniques, unpack(ARGV, at(ARGV.users)))
if redis.call('PTTL', KEYS.uniques) < 0 then redis.call('PEXPIRE', KEYS.uniques, ARGV.ttl) end
return changed
