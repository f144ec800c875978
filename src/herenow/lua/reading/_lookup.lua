-- Looking up users: lookup(users), at most 1,000 of them, answers
-- {now, window, retention, where each was found, scores, packed sessions or empty}
--   where: m h g b in an online set, M H in last:member, last:hidden, '-' nowhere; '' when all are 'm'
--
-- Needs reading/_look.lua. KEYS: all of a room. ARGV: 5 '1' to see the hidden
-- reads: online last sessions
-- writes: nothing
local function look(key, among)
  if call('ZCARD', key) == 0 then return {} end
  return call('ZMSCORE', key, unpack(among))
end

local function lookup(users)
  local scores, missing, places = call('ZMSCORE', KEYS.online_member, unpack(users)), {}, {}
  for i = 1, #users do
    if not scores[i] then missing[#missing + 1] = i end
  end
  local next_place = {{'g', KEYS.online_guest}, {'b', KEYS.online_bot}, {'M', KEYS.last_member}}
  if ARGV.with_hidden == '1' then
    next_place = {{'h', KEYS.online_hidden}, {'g', KEYS.online_guest}, {'b', KEYS.online_bot}, {'H', KEYS.last_hidden}, {'M', KEYS.last_member}}
  end
  for i = 1, #next_place do
    if #missing == 0 then break end
    local among, still = {}, {}
    for j = 1, #missing do among[j] = users[missing[j]] end
    local found = look(next_place[i][2], among)
    for j, at in ipairs(missing) do
      if found[j] then
        scores[at], places[at] = found[j], next_place[i][1]
      else
        still[#still + 1] = at
      end
    end
    missing = still
  end
  local where = ''
  if #missing > 0 or next(places) then
    for i = 1, #users do places[i] = places[i] or scores[i] and 'm' or '-' end
    where = table.concat(places)
  end
  local sessions = {}
  if call('HLEN', KEYS.sessions) > 0 then sessions = call('HMGET', KEYS.sessions, unpack(users)) end
  return {now, window, retention, where, scores, sessions}
end
