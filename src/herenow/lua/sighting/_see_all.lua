-- Record the sightings: the end of a touch, and of each step of a timeline. Needs sighting/_seeing.lua; dated and late
-- as in touch.lua.
-- reads: nothing
-- writes: nothing
late_joins, swept_seen = {}, nil
--#fast
fast.add, fast.came, fast.sessions = {m = {}, g = {}, b = {}}, {}, {}
fast.events, fast.places, fast.sent = {}, {}, 0
--#end
settle()
at_once = #sightings
local most = math.max(10, math.min(SWEPT_AT_MOST, at_once))
local swept_clean = sweep(most) < most
if not swept_clean and at_once > SWEPT_AT_MOST then behind = 2 end
local told_by_sweep, hidden_by_sweep = #told, told_hidden
local joined, refused = 0, {}

local by_members = false
--#fast
by_members = swept_clean and fast.members(sightings)
--#end
if not by_members then
  local batch, users, index = parse(), {}, {}
  local function know(user)
    if user ~= '' and not index[user] then
      users[#users + 1] = user
      index[user] = #users
    end
  end
  local rest
--#fast
  rest = fast.take(batch)
  open_to_all = #rest < #batch.user
--#end
  rest = rest or everyone(batch)
  for _, i in ipairs(rest) do
    know(batch.user[i])
    know(batch.replaces[i] or '')
  end
  local records = load(users)
  for _, i in ipairs(rest) do
--#fast
    fast.send_before(i)
--#end
    local sighting = sighting_of(batch, i)
    local record, replaced = records[index[sighting.user]], records[index[sighting.replaces]]
    local came = see(record, sighting, replaced)
    open_to_all = open_to_all or not hides(record) or replaced ~= nil and not hides(replaced)
    if came then joined = joined + came else refused[#refused + 1] = i - 1 end
  end
--#fast
  fast.send_before(math.huge)
--#end
  if #refused > 0 and how ~= 'lenient' then
    while #told > told_by_sweep do table.remove(told) end
    told_hidden = hidden_by_sweep
    counted, seen_today, uncounted = false, {m = {}, h = {}, g = {}, b = {}}, {}
    close(0)
    return redis.error_reply('HERENOW a user has at most ' .. MOST_SESSIONS .. ' sessions')
  end
  count_late()
  save(records)
--#fast
  fast.write()
--#end
end
--#fast
joined = joined + #fast.came
--#end

local reply = close(joined)
for _, i in ipairs(refused) do reply[#reply + 1] = i end
return dated and {dated, reply} or reply
