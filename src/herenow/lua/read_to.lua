-- How far a log was read. KEYS: 1 the hash of logs. ARGV: 1 the log. Reply: what follow.lua was told, or nil
return redis.call('HGET', KEYS[1], ARGV[1])
