-- Delete up to `most` of the oldest entries that are older than a day. Needs call, EVENTS, now.
local function trim_events(most)
  for _ = 1, most do
    local first = call('XRANGE', EVENTS, '-', '+', 'COUNT', 1)[1]
    if not first or tonumber(first[2][2]) > now - 86400000 then return end
    call('XDEL', EVENTS, first[1])
  end
end
