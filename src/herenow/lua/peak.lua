-- The most ever online. KEYS: 1 meta. ARGV: 1 people | member | hidden | guest | bot
-- Reply: {count, when in ms}; false where there never was anybody
return redis.call('HMGET', KEYS[1], 'peak:' .. ARGV[1], 'peak:' .. ARGV[1] .. ':at')
