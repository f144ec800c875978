-- How many are online at the start of each minute, as long as nobody writes: what expires is over then.
--
-- Needs call, int, now, window, KINDS and ONLINE; `card` where sizes are known. The counts of a kind can only fall
-- from one minute to the next, so where two minutes have the same so has each between them, and is not counted.
-- reads: online
-- writes: nothing
local MINUTE = 60000

local function count(at)
  local since, counts = '(' .. int(at - window), {}
  for _, kind in ipairs(KINDS) do
    local key = ONLINE[kind]
    counts[kind] = (not card or card[key] > 0) and call('ZCOUNT', key, since, now) or 0
  end
  counts.people = counts.m + counts.h + counts.g
  return counts
end

-- Call put(minute, counts) for each of them that somebody is online in; of many alike the counts are one table.
local function count_minutes(first, last, put)
  if first > last then return end
  local function between(low, at_low, high, at_high)
    if high - low < 2 then return end
    if at_low.m == at_high.m and at_low.h == at_high.h and at_low.g == at_high.g and at_low.b == at_high.b then
      if at_low.people + at_low.b > 0 then
        for minute = low + 1, high - 1 do put(minute, at_low) end
      end
      return
    end
    local middle = math.floor((low + high) / 2)
    local at_middle = count(middle * MINUTE)
    between(low, at_low, middle, at_middle)
    put(middle, at_middle)
    between(middle, at_middle, high, at_high)
  end
  local at_first, at_last = count(first * MINUTE), first < last and count(last * MINUTE)
  put(first, at_first)
  if at_last then
    between(first, at_first, last, at_last)
    put(last, at_last)
  end
end

-- Maxima as they are stored: people m h g b.
local function pack_maxima(counts)
  return string.format('%d %d %d %d %d', counts.people, counts.m, counts.h, counts.g, counts.b)
end

local function unpack_maxima(packed)
  local people, m, h, g, b = string.match(packed, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {people = tonumber(people), m = tonumber(m), h = tonumber(h), g = tonumber(g), b = tonumber(b)}
end

local function covers(one, other)
  return one.people >= other.people and one.m >= other.m and one.h >= other.h and one.g >= other.g and one.b >= other.b
end

local function larger(one, other)
  local both = {}
  for what, number in pairs(one) do both[what] = math.max(number, other[what]) end
  return both
end
