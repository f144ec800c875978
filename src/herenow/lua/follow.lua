-- Follow: a touch, and how far the log was read that tells it, as one: no line counts twice, none is lost.
--
-- KEYS: those of touch.lua, then the hash of logs: log -> how far it was read
-- ARGV: those of touch.lua, then the log and how far it was read; no sighting at all will do
-- Reply: that of touch.lua, or 0
do
  local logs, read_to, log = table.remove(KEYS), table.remove(ARGV), table.remove(ARGV)
  local ttl = tonumber(table.remove(ARGV))
  redis.call('HSET', logs, log, read_to)
  redis.call('PEXPIRE', logs, ttl)
  if table.remove(ARGV) == '0' then return 0 end
end
--#include touch.lua
