-- A look at a room: what every script that only reads begins with.
--
-- KEYS: 1 meta hash | 2... the script's own
-- ARGV, always first: 1 the clock in ms, or '' for the store's | 2 window in ms where none is stored
--   3 the window asked for in ms, or '' for the room's | 4 retention in ms where none is stored
-- reads: meta
-- writes: nothing
local call = redis.call
local clock = call('TIME')
local now = tonumber(ARGV.now) or clock[1] * 1000 + math.floor(clock[2] / 1000)
--#fields stored window retention seq seq:shown
local stored = call('HMGET', KEYS.meta, FIELDS.stored)
local window = tonumber(stored.window or nil)
if not window then
--#include room/_lost.lua
  window = window or tonumber(ARGV.window)
end
local retention = tonumber(stored.retention) or tonumber(ARGV.retention)
-- the number of the last event, and that among those that outsiders see; 0 for none
local counter = tonumber(stored.seq) or 0
local shown_counter = tonumber(stored.seq_shown or counter)

local function int(number)
  return string.format('%.0f', number)
end

--#include reading/_wide.lua
