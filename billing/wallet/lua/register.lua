-- A register: what one request or debit holds and was charged. charged = max(all targets seen), as
-- far as it is covered.

local NO_KEY = '0 0 0 0 0' -- also of a register that was written before version 3

-- The API key whose limits a register counts for. The shard's fence names the shard.
local function key_of(fence, epoch, register)
  return read_key(string.sub(fence, 1, -6) .. 'key:' .. register.key, epoch, register.month)
end

local function write_register(name, epoch, register, is_first)
  -- A register of another epoch may be there, with a time to live.
  if not is_first then
    redis.call('DEL', name)
  end
  redis.call('HSET', name, 's', register.state, 'w', register.wallet, 'a', text(register.amount),
    't', text(register.target), 'c', text(register.charged), 'n', text(register.units),
    'f', register.facts, 'pt', text(register.progress_target), 'p', register.progress, 'e', epoch,
    'k', string.format('%s %s %.0f %.0f %.0f', register.key, register.month, register.tokens,
      register.key_us, register.wallet_us))
end

-- Returns nil if there is no register of this epoch, and then whether there is one of another.
local function read_register(name, epoch)
  local fields = redis.call('HMGET', name, 's', 'w', 'a', 't', 'c', 'n', 'f', 'pt', 'p', 'e',
    'k')
  if not fields[1] or fields[10] ~= epoch then
    return nil, fields[1] ~= false
  end
  local key, month, tokens, key_us, wallet_us =
    string.match(fields[11] or NO_KEY, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {
    state = fields[1],
    wallet = fields[2],
    amount = int(fields[3], 'a', 0),
    target = int(fields[4], 't', 0),
    charged = int(fields[5], 'c', 0),
    units = int(fields[6], 'n', 0),
    facts = fields[7],
    progress_target = int(fields[8], 'pt', 0),
    progress = fields[9],
    key = key,
    month = month,
    tokens = tonumber(tokens),
    key_us = tonumber(key_us),
    wallet_us = tonumber(wallet_us),
  }
end

-- register: a request's register, which PostgreSQL may not have yet.
-- KEYS fence hold_key
-- Returns OK is_open amount charged target facts | RECOVERING | UNKNOWN
local function find_register(keys, _, epoch)
  local fence, hold_key = unpack(keys)
  local found = read_register(hold_key, epoch)
  if not found then
    return { 'UNKNOWN' }
  end
  local is_open = found.state == 'open' and 1 or 0
  return { 'OK', is_open, found.amount, found.charged, found.target, found.facts }
end
