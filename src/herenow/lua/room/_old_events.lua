-- Delete up to `most` of the oldest entries that are older than a day, or were 20,000 events before the number `seq`,
-- if it is known: the hidden, whose events are not counted for outsiders, may have told as many.
-- Needs call, EVENTS, now.
-- reads: events
-- writes: events
local function trim_events(most, seq)
  for _ = 1, most do
    local first = call('XRANGE', EVENTS, '-', '+', 'COUNT', 1)[1]
    if not first or tonumber(first[2][2]) > now - 86400000
      and tonumber(string.match(first[1], '%d+$')) > (seq or 0) - 20000 then return end
    call('XDEL', EVENTS, first[1])
  end
end
