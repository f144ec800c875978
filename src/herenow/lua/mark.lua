-- Mark: one plain sighting of a user, now, in a room of members alone: what a web site does at every request.
--
-- It is as short as can be, and names no key and no argument that it can do without: each costs as much as a
-- command. Where more is to be done than it may, it changes nothing, and a touch (touch.lua) is to follow.
--
-- KEYS: 1 meta | 2 online:member | 3 last:member | 4 events; with ARGV 4 also 5 uniques:<day>:member
-- ARGV: 1 the clock in ms, or '' for the store's | 2 window in ms | 3 user | 4 the day of the uniques, counted
--   from 1970, where the caller takes history to be on
-- Reply: nil where a touch is to follow; else that of parts/mark.lua
local KEYS, ARGV = KEYS, ARGV
local META, MEMBERS, LAST_SEEN, EVENTS, UNIQUES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local USER, DAY = ARGV[3], ARGV[4]
local LAST_HIDDEN, SESSIONS
--#include parts/mark.lua
