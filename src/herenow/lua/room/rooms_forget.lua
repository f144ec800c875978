-- Forget in which rooms a user is.
-- KEYS: 1 rooms-of:<user> (see rooms_note.lua)
-- ARGV: none
-- Reply: how many they were
-- reads: nothing
-- writes: rooms-of
--#keys rooms_of
return redis.call('ZREMRANGEBYRANK', KEYS.rooms_of, 0, -1)
