-- A look at a room: what every script that only reads begins with.
--
-- KEYS: 1 meta hash | 2... the script's own
-- ARGV, always first: 1 the clock in ms, or '' for the store's | 2 window in ms where none is stored
--   3 the window asked for in ms, or '' for the room's | 4 retention in ms where none is stored
local call = redis.call
local clock = call('TIME')
local now = tonumber(ARGV[1]) or clock[1] * 1000 + math.floor(clock[2] / 1000)
local stored = call('HMGET', KEYS[1], 'window', 'retention', 'seq', 'seq:shown')
local window = tonumber(stored[1] or nil)
if not window then
--#include parts/lost.lua
  window = window or tonumber(ARGV[2])
end
local retention = tonumber(stored[2]) or tonumber(ARGV[4])
-- the number of the last event, and that among those that outsiders see; 0 for none
local counter = tonumber(stored[3]) or 0
local shown_counter = tonumber(stored[4] or counter)

local function int(number)
  return string.format('%.0f', number)
end

--#include parts/wide.lua
