-- Begin what is done at one moment. Part of room/_open.lua, and of each step of a timeline.
-- reads: nothing
-- writes: nothing
now = tonumber(ARGV.now) or store_now
cut = now - window
window_before, named, told, told_too, counted, pending, behind = window, {}, {}, 0, false, 0, 0
open_to_all, told_hidden = false, 0
swept_out, peaked = {user = {}, kind = {}, score = {}}, {}
this_minute, today = math.floor(now / MINUTE), math.floor(now / DAY)
counted_from = math.max(tonumber(stored.counted) or now, today * DAY)
if not held then put_all_right() end
open_minute()
