-- Follow: a touch, and how far the log was read that tells it, as one: no line counts twice, none is lost.
--
-- KEYS: the hash of logs: log -> how far it was read; then those of touch.lua
-- ARGV: the log, how far it was read, how long that is kept in ms; then those of touch.lua. No sighting at all will do.
-- Reply: that of touch.lua, or 0
-- reads: nothing
-- writes: logs
--#keys logs ROOM UNIQUES
--#args log read_to ttl WRITE how sightings...
redis.call('HSET', KEYS.logs, ARGV.log, ARGV.read_to)
redis.call('PEXPIRE', KEYS.logs, ARGV.ttl)
if #ARGV < at(ARGV.sightings) then return 0 end
--#include sighting/touch.lua
