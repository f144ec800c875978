-- Count users on a day that the caller did not know when it wrote (see parts/sampling.lua).
-- KEYS: 1 uniques:<day>:<kind>. ARGV: 1 how long to keep it in ms, 2... users. Reply: 1 when that changed it
local changed = redis.call('PFADD', KEYS[1], unpack(ARGV, 2))
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return changed
