-- Mark: one plain sighting of a user, now, in a room of members alone: what a web site does at every request.
--
-- It is as short as can be, and names no key and no argument that it can do without: each costs as much as a
-- command. Where more is to be done than it may, it changes nothing, and a touch (touch.lua) is to follow.
--
-- KEYS: as listed; the last one only with the day
-- ARGV: now and window as every script that writes has them | user | the day of the uniques, counted from 1970, where
--   the caller takes history to be on
-- Reply: nil where a touch is to follow; else that of sighting/_fast_mark.lua
-- reads: nothing
-- writes: nothing
--#keys meta online:member last:member events uniques:member
--#args now window user day
--#fast
local KEYS, ARGV = KEYS, ARGV
local META, MEMBERS, LAST_SEEN, EVENTS, UNIQUES =
  KEYS.meta, KEYS.online_member, KEYS.last_member, KEYS.events, KEYS.uniques_member
local USER, DAY = ARGV.user, ARGV.day
local OTHERS, LAST_HIDDEN, SESSIONS
--#include sighting/_fast_mark.lua
--#end
