-- Sightings that came late: who joined at a moment before now counts from then on.
--
-- Exact where sightings arrive in the order of their moments. What joined since then is known only by when the
-- last of them did, and closed minutes stay closed: so nobody counts before these, and never are more counted
-- than were online.
-- reads: online
-- writes: nothing
local late_joins  -- {from, kind, by}: one more, or (who was replaced) one less
local swept_seen

-- `seen` is their score in the set where they still stand. Where their window was over before now, but not when
-- they were seen, they were online all the time.
local function joined_late(user, kind, at, seen)
  if not swept_seen then
    swept_seen = {}
    for i, one in ipairs(swept_out.user) do swept_seen[one] = swept_out.score[i] end
  end
  local was = seen or swept_seen[user]
  late_joins[#late_joins + 1] = {from = math.max(at, was and was + window_before or 0), kind = kind, by = 1}
end

-- Count at each of these moments; call it when all is swept, and nothing is saved.
local function count_late()
  if #late_joins == 0 then return end
  local named_window = window
  window = window_before
  local known = math.max(tonumber(stored.joined) or 0, (tonumber(stored.minute) or 0) * MINUTE)
  if known > now then
    window = named_window
    return
  end
  for _, one in ipairs(late_joins) do one.from = math.min(math.max(one.from, known), now) end
  table.sort(late_joins, function(one, other)
    if one.from ~= other.from then return one.from < other.from end
    return one.by < other.by
  end)
  -- at the starts of minutes since then, before what is counted within them
  if minute and stored.minute then
    for at = math.max(tonumber(stored.minute), math.floor(late_joins[1].from / MINUTE)) + 1, this_minute do
      local counts = at == this_minute and top or closed[at] or {people = 0, m = 0, h = 0, g = 0, b = 0}
      local more = {people = counts.people, m = counts.m, h = counts.h, g = counts.g, b = counts.b}
      for _, one in ipairs(late_joins) do
        if one.from > at * MINUTE then break end
        more[one.kind] = more[one.kind] + one.by
        if one.kind ~= 'b' then more.people = more.people + one.by end
      end
      if at == this_minute then top = larger(top, more) else closed[at], closed_some = larger(counts, more), true end
    end
  end
  -- one count serves all moments between which nobody expires
  local gone, extra, base, base_until = {m = 0, h = 0, g = 0, b = 0}, {m = 0, h = 0, g = 0, b = 0}, nil, nil
  local place = 1
  for _, kind in ipairs(swept_out.kind) do gone[kind] = gone[kind] + 1 end
  for i, one in ipairs(late_joins) do
    extra[one.kind] = extra[one.kind] + one.by
    local following = late_joins[i + 1]
    if one.from < now and one.by > 0 and not (following and following.from == one.from) then
      local at = one.from
      while swept_out.score[place] and swept_out.score[place] <= at - window do
        local kind = swept_out.kind[place]
        gone[kind] = gone[kind] - 1
        place = place + 1
      end
      if not base or at >= base_until then
        base, base_until = count(at), math.huge
        for _, kind in ipairs(KINDS) do
          if card[ONLINE[kind]] > 0 then
            local next_over = call('ZRANGEBYSCORE', ONLINE[kind], '(' .. int(at - window), int(now - window), 'WITHSCORES', 'LIMIT', 0, 1)
            if next_over[2] then base_until = math.min(base_until, next_over[2] + window) end
          end
        end
      end
      local counts = {}
      for _, kind in ipairs(KINDS) do counts[kind] = math.max(0, base[kind] + gone[kind] + extra[kind]) end
      counts.people = counts.m + counts.h + counts.g
      record(counts, at)
    end
  end
  window = named_window
end
