-- The most ever online. KEYS: 1 meta. ARGV: 1 people | shown | member | hidden | guest | bot
--   shown: people without the hidden, kept apart from the first moment on where those were among them
-- Reply: {count, when in ms}; false where there never was anybody
-- reads: meta
-- writes: nothing
--#keys meta
--#args which
local which = ARGV.which
if which == 'shown' and redis.call('HEXISTS', KEYS.meta, 'peak:shown') == 0 then which = 'people' end
return redis.call('HMGET', KEYS.meta, 'peak:' .. which, 'peak:' .. which .. ':at')
