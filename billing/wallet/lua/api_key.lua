-- An API key: what its requests hold and were charged, in all and of those that started in a month
-- (UTC), and where its requests and tokens per minute stand (see `take`). A member is the same
-- without rates (see `member.lua`).

local function set_key(key)
  if key.is_new then
    redis.call('DEL', key.name)
    key.is_new = false
  end
  redis.call('HSET', key.name, 'e', key.epoch, 'open', text(key.open), 'held', text(key.held),
    'spent', text(key.spent), 'held:' .. key.month, text(key.month_held),
    'spent:' .. key.month, text(key.month_spent), 'ra', text(key.requests_at),
    'ta', text(key.tokens_at))
end

local function write_key(key)
  write_figures(key, set_key)
end

-- The key as it is now. In a convoy, requests of two months need its figures of either.
local function read_key(name, epoch, month)
  if known and known[name] then
    if known[name].month == month then
      return known[name]
    end
    write_changed()
  end
  local held_then, spent_then = 'held:' .. month, 'spent:' .. month
  local fields = redis.call('HMGET', name, 'e', 'open', 'held', 'spent', held_then, spent_then,
    'ra', 'ta')
  local is_new = fields[1] ~= epoch
  if is_new then
    fields = { epoch, '0', '0', '0' }
  end
  local key = {
    name = name,
    epoch = epoch,
    is_new = is_new,
    month = month,
    open = tonumber(fields[2]),
    held = tonumber(fields[3]),
    spent = tonumber(fields[4]),
    month_held = tonumber(fields[5] or '0'),
    month_spent = tonumber(fields[6] or '0'),
    requests_at = tonumber(fields[7] or '0'),
    tokens_at = tonumber(fields[8] or '0'),
  }
  if known then
    known[name] = key
  end
  return key
end
