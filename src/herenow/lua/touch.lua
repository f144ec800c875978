-- Touch: record sightings of up to 1,000 users; whoever was offline joins.
--
-- KEYS and ARGV 1-8: see parts/room.lua.
-- ARGV: 9 'plain' | 'aged' | 'strict' | 'lenient', 10... one sighting each:
--   plain:   the user alone, each once: a member's or nobody's kind, the unnamed session, now
--   aged:    two each, the user and the age in ms; else as plain, but as often as she was seen
--   else:    user \t age in ms or '' \t kind or '' \t session \t away ('1', '0', '') \t info or '' \t replaces or ''
-- A sighting that would be a user's 33rd session is refused: by `strict` all of them are.
-- Reply: {how many came online, ... (see close()), then the index of each refused, from 0}
--
-- The first lines are the lean path, for one plain mark: what a web site does at every request. It
-- reads and writes just what the rest would where nobody is due and no session says anything, in a
-- room of members alone or a mixed one. It answers one number where the window is the one told.
if ARGV[9] == 'plain' and #ARGV == 10 and ARGV[3] == '' and ARGV[5] == '' and ARGV[7] == '' then
  local call, user = redis.call, ARGV[10]
  local clock = call('TIME')
  local now = tonumber(ARGV[1]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
  local room = call('HMGET', KEYS[1], 'window', 'renewed', 'mixed', 'minute', 'counted')
  local minute = room[4]
  local function count_today()
    if call('PFADD', KEYS[12], user) == 1 and call('PTTL', KEYS[12]) < 0 then
      call('PEXPIRE', KEYS[12], call('HGET', KEYS[1], 'history') + 172800000)
    end
  end
  -- with history, the minute being sampled, and its day's uniques given
  if room[1] and math.abs(clock[1] - room[2]) < 3600 and (not minute
    or minute + 0 == math.floor(now / 60000) and ARGV[8] == tostring(math.floor(minute / 1440))) then
    local mixed, cut = room[3], now - room[1]
    local seen = call('ZSCORE', KEYS[2], user)
    local same = room[1] == ARGV[2]
    if seen and tonumber(seen) > cut and not (mixed and call('HEXISTS', KEYS[8], user) == 1) then
      if minute and tonumber(seen) < tonumber(room[5]) then count_today() end
      call('ZADD', KEYS[2], now, user)
      return same and 0 or {0, tonumber(room[1]), 0, -1, -1, 0, 0}
    end
    local function due_or_in(key)
      return call('ZCOUNT', key, '-inf', cut) > 0 or call('ZSCORE', key, user)
    end
    if not seen and call('XLEN', KEYS[10]) > 0 and call('ZCOUNT', KEYS[2], '-inf', cut) == 0
      and not (mixed and (due_or_in(KEYS[3]) or due_or_in(KEYS[4]) or due_or_in(KEYS[5])
      or call('ZSCORE', KEYS[7], user))) then
      local stored = call('HMGET', KEYS[1], 'seq', 'listed', 'peak:people', 'peak:member', 'top')
      local members, others, bots = call('ZCARD', KEYS[2]), 0, 0
      if stored[1] and members > 0 then
        if mixed then
          others, bots = call('ZCARD', KEYS[3]) + call('ZCARD', KEYS[4]), call('ZCARD', KEYS[5])
        end
        if minute then count_today() end
        call('ZREM', KEYS[6], user)
        call('ZADD', KEYS[2], now, user)
        members = members + 1
        local people = members + others
        local seq, total, before, listed = stored[1] + 1, people + bots, tonumber(stored[2] or 0), -1
        if minute then
          local most, most_members, rest = string.match(stored[5], '^(%d+) (%d+)(.*)$')
          call('HSET', KEYS[1], 'seq', seq, 'joined', now,
            'top', math.max(most, people) .. ' ' .. math.max(most_members, members) .. rest)
        else
          call('HSET', KEYS[1], 'seq', seq, 'joined', now)
        end
        if people > tonumber(stored[3] or 0) then
          call('HSET', KEYS[1], 'peak:people', people, 'peak:people:at', now)
        end
        if members > tonumber(stored[4] or 0) then
          call('HSET', KEYS[1], 'peak:member', members, 'peak:member:at', now)
        end
        if math.abs(total - before) * 8 >= math.max(before, 1) and total ~= before then
          listed = total
          call('HSET', KEYS[1], 'listed', total)
        end
        if seq % 50 == 0 then call('XTRIM', KEYS[10], 'MINID', '~', seq - 10000) end
        call('XADD', KEYS[10], string.format('%.0f-0', seq), 'at', now, 'told', 1, 'events', 'jm\t' .. user)
--#include parts/ring.lua
        ring(seq)
        return listed < 0 and same and 1 or {1, tonumber(room[1]), 0, listed, -1, 0, 0}
      end
    end
  end
end

--#include parts/seeing.lua
--#include parts/open.lua
--#include parts/see_all.lua
