-- The window asked for is at most the room's: cut is the moment that it begins after.
-- reads: nothing
-- writes: nothing
local asked = tonumber(ARGV.asked) or window
if asked > window then return too_wide(asked, window, "the room's") end
local cut = now - asked
