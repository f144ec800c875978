-- Users as records: loaded in bulk, changed in memory, saved in bulk.
--
-- A record: user, kind and seen while in an online set (expired or not), member_last and hidden_last
-- (the scores of last:*), left and hidden_left (when they left being hidden), sessions (packed). The fields of `before` are what the store holds.
-- `change_...` and `leave` work on the record and on the events told; only save() writes.
-- reads: online last left sessions
-- writes: sessions

local function scores_of(key, users)
  if card[key] == 0 then return {} end
  return call('ZMSCORE', key, unpack(users))
end

-- Under which names `left` has the leaves of who was hidden: no user's, for they hold no tab.
local function as_hidden(users)
  local names = {}
  for i = 1, card[LEFT] > 0 and #users or 0 do names[i] = '\t' .. users[i] end
  return names
end

local function load(users)
  if #users == 0 then return {} end
  local records, online = {}, {}
  for _, kind in ipairs(KINDS) do online[kind] = scores_of(ONLINE[kind], users) end
  local member_last, hidden_last = scores_of(LAST.m, users), scores_of(LAST.h, users)
  local left, hidden_left = scores_of(LEFT, users), scores_of(LEFT, as_hidden(users))
  local sessions = card[SESSIONS] > 0 and call('HMGET', SESSIONS, unpack(users)) or {}
  for i, user in ipairs(users) do
    local before = {member_last = tonumber(member_last[i] or nil), hidden_last = tonumber(hidden_last[i] or nil),
      left = tonumber(left[i] or nil), hidden_left = tonumber(hidden_left[i] or nil), sessions = sessions[i] or nil}
    for _, kind in ipairs(KINDS) do
      if online[kind][i] then before.kind, before.seen = kind, tonumber(online[kind][i]) end
    end
    local record = {user = user, before = before}
    for field, value in pairs(before) do record[field] = value end
    -- what is over counts no more, trimmed or not
    if record.hidden_last and record.hidden_last <= now - retention then record.hidden_last = nil end
    if record.left and record.left <= cut then record.left = nil end
    if record.hidden_left and record.hidden_left <= cut then record.hidden_left = nil end
    records[i] = record
  end
  return records
end

local function set_sessions(values)
  if #values > 0 then
    call('HSET', SESSIONS, unpack(values))
    card[SESSIONS] = card[SESSIONS] + 1
    grown[SESSIONS] = true
  end
end

local function save(records)
  if #records == 0 then return end
  local added, removed = {}, {}
  for _, key in ipairs(KEYS) do added[key], removed[key] = {}, {} end
  local function put(key, value, member)
    local list = added[key]
    list[#list + 1] = value
    list[#list + 1] = member
  end
  local function score(key, user, was, is)
    if is and is ~= was then
      put(key, int(is), user)
    elseif was and not is then
      table.insert(removed[key], user)
    end
  end
  for _, record in ipairs(records) do
    local user, before = record.user, record.before
    if record.kind ~= before.kind then
      if before.kind then table.insert(removed[ONLINE[before.kind]], user) end
      if record.kind then put(ONLINE[record.kind], int(record.seen), user) end
    elseif record.kind then
      score(ONLINE[record.kind], user, before.seen, record.seen)
    end
    score(LAST.m, user, before.member_last, record.member_last)
    score(LAST.h, user, before.hidden_last, record.hidden_last)
    score(LEFT, user, before.left, record.left)
    score(LEFT, '\t' .. user, before.hidden_left, record.hidden_left)
    if record.sessions ~= before.sessions then
      if record.sessions then
        put(SESSIONS, user, record.sessions)
      else
        table.insert(removed[SESSIONS], user)
      end
    end
  end
  for i = at(KEYS.online_member), at(KEYS.left) do
    local key = KEYS[i]
    if key == SESSIONS then
      remove('HDEL', key, removed[key])
      set_sessions(added[key])
    else
      remove('ZREM', key, removed[key])
      add(key, added[key])
    end
  end
end

-- Their fresh sessions. Unnamed sightings of somebody with none recorded are the session ''.
local function sessions_of(record)
  if record.sessions then return unpack_sessions(record.sessions, cut) end
  if record.kind then return {{name = '', ms = record.seen, away = '', info = ''}} end
  return {}
end

-- Whether outsiders learn nothing of what they do: they are hidden, or were when they went.
local function hides(record)
  return record.kind == 'h' or not record.kind and record.hidden_last ~= nil
end

local function go_offline(record)
  if record.kind == 'm' then record.member_last = record.seen end
  if record.kind == 'h' then record.hidden_last = record.seen end
  record.kind, record.seen, record.sessions = nil, nil, nil
end

-- One whose window is over, but who was not swept, leaves before anything else happens to them.
local function expire(record)
  if record.kind and record.seen <= cut then
    tell('t', record.kind, record.user, record.seen + window)
    go_offline(record)
  end
end

-- Sessions that are over are gone before anything else happens to their user. Where that changed who is away, an
-- update tells it, of the moment at which it did.
local function drop_over(record)
  if not record.kind or not record.sessions then return end
  local kept, all = unpack_sessions(record.sessions, cut), unpack_sessions(record.sessions, -1)
  if #kept == #all then return end
  local away = is_away(kept)
  if is_away(all) ~= away then
    table.sort(all, function(one, other) return one.ms < other.ms end)
    local changed
    for _ = 1, #all - #kept do
      local was, one = is_away(all), table.remove(all, 1)
      if was ~= away and is_away(all) == away then changed = one end
    end
    tell('u', record.kind, record.user, changed.ms + window, changed.name, away and '1' or '0', '', '')
  end
  record.sessions = pack_sessions(kept)
end

-- Leave at the moment `at`; answer whether that made them offline. Of somebody offline it counts too.
local function leave(record, at)
  expire(record)
  local field = hides(record) and 'hidden_left' or 'left'
  record[field] = at == now and at or math.max(record[field] or at, at)
  if not record.kind then return false end
  drop_over(record)
  tell('l', record.kind, record.user, at)
  go_offline(record)
  return true
end
