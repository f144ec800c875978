-- A page: who is online after a cursor, newest first, then id descending by its bytes.
--
-- KEYS: all of a room. The answer of page():
-- {now, window, retention, users each followed by its score, the kind of each or of all in a string,
-- packed sessions of each or empty}
-- reads: online sessions
-- writes: nothing
local KEY_OF = {m = KEYS.online_member, h = KEYS.online_hidden, g = KEYS.online_guest, b = KEYS.online_bot}

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

local function answer(flat, kinds)
  local sessions = {}
  if #flat > 0 and call('HLEN', KEYS.sessions) > 0 then
    for i = 1, #flat, 8000 do
      local users = {}
      for j = i, math.min(i + 7999, #flat), 2 do users[#users + 1] = flat[j] end
      local part = call('HMGET', KEYS.sessions, unpack(users))
      for j = 1, #part do sessions[#sessions + 1] = part[j] end
    end
  end
  return {now, window, retention, flat, kinds, sessions}
end

-- The part of one kind: what the set gives, without those at its end who are over.
local function page_of_one(kind, limit, score, user)
  local start = call('ZCOUNT', KEY_OF[kind], now + 1, '+inf')  -- see room/_ahead.lua
  if score ~= '' then start = math.max(start, rank_after(KEY_OF[kind], score, user)) end
  local flat = call('ZREVRANGE', KEY_OF[kind], start, start + limit - 1, 'WITHSCORES')
  local size = #flat
  while size > 0 and tonumber(flat[size]) <= cut do
    flat[size], flat[size - 1] = nil, nil
    size = size - 2
  end
  return flat
end

local function page(kinds, limit, score, user)
  if #kinds == 1 then return answer(page_of_one(kinds, limit, score, user), kinds) end
  local found = {}
  for kind in string.gmatch(kinds, '.') do
    local part = page_of_one(kind, limit, score, user)
    for i = 1, #part, 2 do
      found[#found + 1] = {user = part[i], seen = tonumber(part[i + 1]), score = part[i + 1], kind = kind}
    end
  end
  table.sort(found, function(one, other)
    if one.seen ~= other.seen then return one.seen > other.seen end
    return less(other.user, one.user)
  end)
  local flat, of_kind = {}, {}
  for i = 1, math.min(#found, limit) do
    flat[2 * i - 1], flat[2 * i], of_kind[i] = found[i].user, found[i].score, found[i].kind
  end
  return answer(flat, table.concat(of_kind))
end
