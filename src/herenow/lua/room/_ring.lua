-- The doorbell: tell whoever watches this room that there is something new, up to the entry `id`.
--
-- Needs EVENTS, whose name is the channel's too; so it lies in the room's slot. It stays within the
-- shard (SPUBLISH), but for Redis 6.2, which has no such thing. The stream is the truth: a user without
-- the right to ring, or a bell that nobody hears, loses nothing.
-- reads: nothing
-- writes: nothing
if type(redis.pcall('SPUBLISH', EVENTS, id)) == 'table' then redis.pcall('PUBLISH', EVENTS, id) end
