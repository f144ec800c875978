-- Forget in which rooms a user is.
-- KEYS: 1 rooms-of:<user> (see rooms_note.lua)
-- ARGV: none
-- Reply: how many they were
return redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1)
