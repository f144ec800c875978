-- reads: nothing
-- writes: nothing
local function too_wide(asked, most, whose)
  return redis.error_reply('HERENOW a window is at most ' .. whose .. ', ' .. most / 1000 .. ' s; asked was '
    .. asked / 1000 .. ' s')
end
