-- Values: what an argument or a field may be, and how a number is written.

local MAX_INTEGER = 9007199254740991 -- 2^53 - 1: the largest integer a Lua number counts exactly

-- A whole number of at least `least` from an argument or a field, or an error naming it.
local function int(text, name, least)
  if type(text) ~= 'string' or not string.find(text, '^%-?%d+$') then
    error('ARGUMENT ' .. name .. ' is not a whole number')
  end
  local number = tonumber(text)
  if number < (least or 0) or number > MAX_INTEGER then
    error('ARGUMENT ' .. name .. ' is out of range')
  end
  return number
end

-- The same as the text that it came as: a figure that is written as it is.
local function whole(text, name)
  int(text, name, 0)
  return text
end

-- A row's id, as the text that it is in keys and registers.
local function id(text, name)
  int(text, name, 1)
  return text
end

local function str(text, name)
  if type(text) ~= 'string' or text == '' then
    error('ARGUMENT ' .. name .. ' is empty')
  end
  return text
end

-- Redis converts Lua numbers with %.17g; this spelling is exact for every integer that we hold, and
-- writes -0 as 0, which is the most frequent figure and needs no formatting.
local function text(number)
  return number == 0 and '0' or string.format('%.0f', number)
end

local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function now_ms()
  return math.floor(now_us() / 1000)
end
