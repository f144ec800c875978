-- Sessions, packed: one a line, `name \t ms \t away \t info`; away is '1' or '', info JSON or ''.
-- reads: nothing
-- writes: nothing

local function unpack_sessions(raw, cut)
  local list = {}
  for name, ms, away, info in string.gmatch(raw, '([^\t\n]*)\t([^\t\n]*)\t([^\t\n]*)\t([^\n]*)') do
    ms = tonumber(ms)
    if ms > cut then list[#list + 1] = {name = name, ms = ms, away = away, info = info} end
  end
  return list
end

-- Answer nil for nothing that needs remembering: no session but the unnamed one, and that says nothing.
local function pack_sessions(list)
  if #list == 0 or (#list == 1 and list[1].name == '' and list[1].away == '' and list[1].info == '') then
    return nil
  end
  local lines = {}
  for i, one in ipairs(list) do
    lines[i] = one.name .. '\t' .. int(one.ms) .. '\t' .. one.away .. '\t' .. one.info
  end
  return table.concat(lines, '\n')
end

-- Away is what every named session says; the unnamed one counts only where no named one is.
local function is_away(list)
  local away, named_one = list[1] ~= nil, false
  for _, one in ipairs(list) do
    if one.name ~= '' then
      if not named_one then away, named_one = true, true end
      away = away and one.away == '1'
    elseif not named_one then
      away = one.away == '1'
    end
  end
  return away
end
