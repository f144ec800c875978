-- Moments that are yet to come: the store's clock was set back, or a replica whose clock is behind took over.
--
-- Nobody believes them: who reads takes a score ahead of now as if it were not there, and whoever writes makes it
-- now, up to 250 of a key a call, before anything else; sessions too. online:member is looked into by every write,
-- the other sets where the last moment that any of them was added to, `moved` in meta, is ahead of now or unknown.
-- reads: online last sessions left
-- writes: online last sessions left
local function put_sessions_right(users)
  if card[SESSIONS] == 0 then return end
  local packed, values = call('HMGET', SESSIONS, unpack(users)), {}
  for i, user in ipairs(users) do
    if packed[i] then
      values[#values + 1] = user
      values[#values + 1] = string.gsub(packed[i], '\t(%d+)\t', function(ms)
        return '\t' .. int(math.min(tonumber(ms), now)) .. '\t'
      end)
    end
  end
  if #values > 0 then call('HSET', SESSIONS, unpack(values)) end
end

local function put_all_right()
  local keys, all = {}, true
  if card[ONLINE.m] > 0 and call('ZCOUNT', ONLINE.m, now + 1, 4e15) > 0 then keys[1] = ONLINE.m end
  if not stored.moved or tonumber(stored.moved) > now then
    for _, key in ipairs({ONLINE.h, ONLINE.g, ONLINE.b, LAST.m, LAST.h, LEFT}) do
      if card[key] > 0 then keys[#keys + 1] = key end
    end
    moved = stored.moved and true
  end
  for _, key in ipairs(keys) do
    local users = call('ZRANGEBYSCORE', key, now + 1, 4e15, 'LIMIT', 0, SWEPT_AT_MOST)
    if #users > 0 then
      local values, moment = {}, int(now)
      for i, user in ipairs(users) do values[2 * i - 1], values[2 * i] = moment, user end
      call('ZADD', key, unpack(values))
      if key ~= LAST.m and key ~= LAST.h and key ~= LEFT then put_sessions_right(users) end
      if key ~= ONLINE.m then all = all and #users < SWEPT_AT_MOST end
    end
  end
  if not all then moved_last = stored.moved end
end
