-- A page: who is online after a cursor, newest first, then id descending by its bytes.
--
-- KEYS: all ten of a room. The answer of page():
-- {now, window, retention, users, scores, a string with the kind of each, packed sessions of each or empty}
local KEY_OF = {m = KEYS[2], h = KEYS[3], g = KEYS[4], b = KEYS[5]}

-- Lua's own < on strings depends on the locale.
local function less(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- The rank of the first after (score, user), who may have moved since. O(log n), however many share it.
local function rank_after(key, score, user)
  if tonumber(call('ZSCORE', key, user) or nil) == tonumber(score) then
    return call('ZREVRANK', key, user) + 1
  end
  local low = call('ZCOUNT', key, '(' .. score, '+inf')
  local high = low + call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if less(call('ZREVRANGE', key, middle, middle)[1], user) then high = middle else low = middle + 1 end
  end
  return low
end

local function page(kinds, limit, score, user)
  local found = {}
  for kind in string.gmatch(kinds, '.') do
    local start = score ~= '' and rank_after(KEY_OF[kind], score, user) or 0
    local part = call('ZREVRANGE', KEY_OF[kind], start, start + limit - 1, 'WITHSCORES')
    for i = 1, #part, 2 do
      local seen = tonumber(part[i + 1])
      if seen <= cut then break end
      found[#found + 1] = {user = part[i], seen = seen, score = part[i + 1], kind = kind}
    end
  end
  if #kinds > 1 then
    table.sort(found, function(one, other)
      if one.seen ~= other.seen then return one.seen > other.seen end
      return less(other.user, one.user)
    end)
  end
  local users, scores, of_kind, sessions = {}, {}, {}, {}
  for i = 1, math.min(#found, limit) do
    users[i], scores[i], of_kind[i] = found[i].user, found[i].score, found[i].kind
  end
  if #users > 0 and call('HLEN', KEYS[8]) > 0 then
    for i = 1, #users, 4000 do
      local part = call('HMGET', KEYS[8], unpack(users, i, math.min(i + 3999, #users)))
      for j = 1, #part do sessions[i + j - 1] = part[j] end
    end
  end
  return {now, window, retention, users, scores, table.concat(of_kind), sessions}
end
