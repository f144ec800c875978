-- The fast paths of a batch: users who come or are seen again, and change no more than most do, without a record each.
--
-- They stay for the bench: "batch of 1,000: repeats" and "joins", "batch with sessions and info". Records (sighting/_users.lua)
-- take ten times as long for a thousand users, and take() two and a half times as long as members(). Both do what see()
-- does, and nothing else: the oracle runs every story with these paths and without.
--
-- take() is for users named once in the batch, who are in one online set or in none: a join, or a newer last seen. If
-- they have sessions, this one is among them, and says what it said. It only collects; write() writes.
-- reads: online last sessions
-- writes: online
local fast = {}

-- The packed sessions, this one of them seen again; nil where it is new or says something new, or where one
-- of them is over.
local function seen_again(packed, session, away, info, at, at_text)
  local start = #session + 2
  if string.sub(packed, 1, start - 1) ~= session .. '\t' then
    local line = string.find(packed, '\n' .. session .. '\t', 1, true)
    if not line then return nil end
    start = line + start
  end
  for ms in string.gmatch(packed, '\t(%d+)\t') do
    if tonumber(ms) <= cut then return nil end
  end
  local ms, is_away, shown = string.match(packed, '^(%d+)\t(1?)\t([^\n]*)', start)
  if tonumber(ms) <= at and (away == '' or (away == '1') == (is_away == '1'))
    and (info == '' or info == shown or info == '{}' and shown == '') then
    return string.sub(packed, 1, start - 1) .. at_text .. string.sub(packed, start + #ms)
  end
end

-- Take what is simple; answer the indexes of the rest.
function fast.take(batch)
  local users, times, rest, seen, was = batch.user, batch.times, {}, {}, {}
  for _, kind in ipairs(KINDS) do
    local scores = card[ONLINE[kind]] > 0 and call('ZMSCORE', ONLINE[kind], unpack(users)) or {}
    for i = 1, #scores do
      if scores[i] then seen[i], was[i] = tonumber(scores[i]), kind end
    end
  end
  local hidden = card[LAST.h] > 0 and call('ZMSCORE', LAST.h, unpack(users)) or {}
  local left = batch.aged and scores_of(LEFT, users) or {}
  local hidden_left = batch.aged and scores_of(LEFT, as_hidden(users)) or {}
  local packed = card[SESSIONS] > 0 and call('HMGET', SESSIONS, unpack(users)) or {}
  local ages, kinds, sessions, aways, infos = batch.age, batch.kind, batch.session, batch.away, batch.info
  local moment, came, kept = int(now), fast.came, fast.sessions
  for i = 1, #users do
    local user, kind, session, away, info = users[i], kinds[i] or '', sessions[i] or '', aways[i] or '', infos[i] or ''
    local aged = ages[i] ~= ''
    local at = aged and now - ages[i] or now
    local becomes = was[i] or kind == '' and 'm' or kind
    local values, says = fast.add[becomes], session ~= '' or away ~= '' or info ~= ''
    local simple = values and at > cut and times[user] == 1 and not hidden[i] and not (aged and (left[i] or hidden_left[i]))
    local line
    if simple and was[i] then
      simple = (kind == '' or string.lower(kind) == becomes or string.byte(kind) < 97) and seen[i] > cut and not (aged and seen[i] > at)
      if simple and packed[i] then
        line = seen_again(packed[i], session, away, info, at, aged and int(at) or moment)
        simple = line
      elseif says then
        simple = false
      end
    elseif simple and (session ~= '' or not says) then
      local record = 'j' .. becomes .. '\t' .. user
      if says then
        info = info ~= '{}' and info or ''
        record = record .. '\t' .. (aged and int(at) or '') .. '\t' .. session .. '\t' .. (away == '1' and '1' or '0')
          .. '\t' .. info .. '\t'
        line = session .. '\t' .. (aged and int(at) or moment) .. '\t' .. (away == '1' and '1' or '') .. '\t' .. info
      elseif aged then
        record = record .. '\t' .. int(at)
      end
      local n = #came + 1
      came[n], fast.events[n], fast.places[n] = user, record, i
      if at < now then joined_late(user, becomes, at) end
    else
      simple = false
    end
    if simple then
      sighted(becomes, user, at, seen[i])
      local n = #values
      values[n + 1], values[n + 2] = aged and at or moment, user
      if line then
        n = #kept
        kept[n + 1], kept[n + 2] = user, line
      end
    else
      rest[#rest + 1] = i
    end
  end
  return rest
end

-- Send the joins that take() found before the place `i` of the batch: events stand in its order, whichever path they
-- went by, or they would give away who was hidden.
function fast.send_before(i)
  local n = fast.sent + 1
  while fast.places[n] and fast.places[n] < i do
    told[#told + 1] = fast.events[n]
    n = n + 1
  end
  fast.sent = n - 1
end

-- What all who came by a fast path have in common, when they are in their sets.
function fast.finish()
  if card[LAST.m] > 0 then remove('ZREM', LAST.m, fast.came) end
  counted = counted or #fast.came > 0
end

function fast.write()
  for _, kind in ipairs({'m', 'g', 'b'}) do add(ONLINE[kind], fast.add[kind]) end
  set_sessions(fast.sessions)
  fast.finish()
end

-- A batch of users who say no more than that they are here, in a room of members alone, where nobody is over.
-- Answer whether that is what it is: it is written then.
function fast.members(users)
  if how ~= 'plain' or late > 0
    or card[ONLINE.h] + card[ONLINE.g] + card[ONLINE.b] + card[LAST.h] + card[SESSIONS] > 0 then return false end
  -- Members alone, and whoever is in the set is online: where the first one is, one ZADD tells whether
  -- all of them were; where they are not, most are new.
  local moment, values = int(now), {}
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
      local new = {}
      for _, user in ipairs(call('ZRANGEBYSCORE', ONLINE.m, moment, moment)) do new[user] = true end
      joiners = {}
      for _, user in ipairs(users) do
        if new[user] then joiners[#joiners + 1] = user end
      end
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
  if #joiners > 0 then
    card[ONLINE.m], grown[ONLINE.m] = card[ONLINE.m] + #joiners, true
    fast.came = joiners
    told[#told + 1] = 'jm\t' .. table.concat(joiners, '\njm\t')
    told_too = #joiners - 1
  end
  fast.finish()
  return true
end
