-- Record the sightings: the end of a touch, and of each step of a timeline. Needs parts/seeing.lua; dated and late
-- as in touch.lua.
lane.add, lane.came, lane.sessions, lane.joined = {m = {}, g = {}, b = {}}, {}, {}, 0
early, swept_seen = {}, nil
settle()
at_once = #sightings
local most = math.max(10, math.min(SWEPT_AT_MOST, at_once))
local swept_clean = sweep(most) < most
if not swept_clean and at_once > SWEPT_AT_MOST then behind = 2 end
local told_by_sweep, hidden_by_sweep = #told, told_hidden
local joined, refused = 0, {}

if how == 'plain' and late == 0 and swept_clean
  and card[ONLINE.h] + card[ONLINE.g] + card[ONLINE.b] + card[LAST.h] + card[SESSIONS] == 0 then
  -- Members alone, and whoever is in the set is online: where the first one is, one ZADD tells whether
  -- all of them were; where she is not, most are new.
  local moment, users, values = int(now), sightings, {}
  open_to_all = true
  local all_today = all_counted('m')
  for i = 1, #users do
    values[2 * i - 1], values[2 * i] = moment, users[i]
  end
  local joiners
  if call('ZSCORE', ONLINE.m, users[1]) then
    if call('ZADD', ONLINE.m, 'XX', 'CH', unpack(values)) == #users then joiners = {} end
  elseif call('ZCOUNT', ONLINE.m, moment, moment) == 0 then
    joiners = users
    if call('ZADD', ONLINE.m, 'NX', unpack(values)) < #users then
      joiners = call('ZRANGEBYSCORE', ONLINE.m, moment, moment)
      call('ZADD', ONLINE.m, unpack(values))
    end
  end
  if not joiners then
    local scores = call('ZMSCORE', ONLINE.m, unpack(users))
    joiners = {}
    for i = 1, #users do
      if not scores[i] then joiners[#joiners + 1] = users[i] end
    end
    call('ZADD', ONLINE.m, unpack(values))
  end
  if kept > 0 then seen_today.m = all_today and joiners or users end
  joined = #joiners
  if joined > 0 then
    card[ONLINE.m], grown[ONLINE.m], counted = card[ONLINE.m] + joined, true, true
    if card[LAST.m] > 0 then remove('ZREM', LAST.m, joiners) end
    told[#told + 1] = 'jm\t' .. table.concat(joiners, '\njm\t')
    told_too = joined - 1
  end
else
  local batch, users, index = parse(), {}, {}
  local function know(user)
    if user ~= '' and not index[user] then
      users[#users + 1] = user
      index[user] = #users
    end
  end
  local rest = lane.take(batch)
  open_to_all = #rest < #batch.user
  for _, i in ipairs(rest) do
    know(batch.user[i])
    know(batch.replaces[i] or '')
  end
  local records = load(users)
  for _, i in ipairs(rest) do
    local sighting = sighting_of(batch, i)
    local record, replaced = records[index[sighting.user]], records[index[sighting.replaces]]
    local came = see(record, sighting, replaced)
    open_to_all = open_to_all or not hides(record) or replaced ~= nil and not hides(replaced)
    if came then joined = joined + came else refused[#refused + 1] = i - 1 end
  end
  if #refused > 0 and how ~= 'lenient' then
    while #told > told_by_sweep do table.remove(told) end
    told_hidden = hidden_by_sweep
    counted, seen_today, uncounted = false, {m = {}, h = {}, g = {}, b = {}}, {}
    close(0)
    return redis.error_reply('HERENOW a user has at most ' .. MOST_SESSIONS .. ' sessions')
  end
  count_early()
  save(records)
  lane.write()
  joined = joined + lane.joined
end

local reply = close(joined)
for _, i in ipairs(refused) do reply[#reply + 1] = i end
return dated and {dated, reply} or reply
