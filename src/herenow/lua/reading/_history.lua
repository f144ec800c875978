-- Which history of the data this is: another one after a failover, and after a restart; '' where the
-- store does not say. Numbers of one say nothing of another: writes may have been lost between them.
-- reads: nothing
-- writes: nothing
local function history()
  local told = redis.pcall('INFO', 'replication')
  return type(told) == 'string' and string.sub(string.match(told, 'master_replid:(%w+)') or '', 1, 16) or ''
end
