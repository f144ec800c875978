-- Where meta has no window, for it was evicted alone: take that which each online set has, see room/_room.lua.
-- Needs call and window. No function: to make one costs.
-- reads: online
-- writes: nothing
for i = 2, #KEYS do
  if not window and string.find(KEYS[i], '}:online:%l+$') then
    local score = call('ZSCORE', KEYS[i], '\twindow')
    window = score and score - 4e15
  end
end
