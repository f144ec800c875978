-- How far a log was read. KEYS: 1 the hash of logs. ARGV: 1 the log. Reply: what follow.lua was told, or nil
-- reads: logs
-- writes: nothing
--#keys logs
--#args log
return redis.call('HGET', KEYS.logs, ARGV.log)
