-- A wallet: its figures, and what PostgreSQL pushes.

-- Whether a wallet was brought into this epoch: by the rebuild, or by `load` since.
local function is_loaded(wallet_key, epoch)
  return redis.call('HGET', wallet_key, 'e') == epoch
end

-- The wallet as it is now, nil if it was not loaded in this epoch; what a call changes of it, it
-- writes with `write_wallet`.
local function read_wallet(wallet_key, epoch)
  if known and known[wallet_key] then
    return known[wallet_key]
  end
  local fields = redis.call('HMGET', wallet_key, 'base', 'pend', 'held', 'v', 'state', 'debt',
    'credited', 'open', 'ra', 'ta', 'e')
  if fields[11] ~= epoch then
    return nil
  end
  local wallet = {
    name = wallet_key,
    base = int(fields[1], 'base', 0),
    pend = int(fields[2], 'pend', 0),
    held = int(fields[3], 'held', 0),
    v = int(fields[4], 'v', 0),
    state = fields[5],
    debt = int(fields[6], 'debt', 0),
    credited = int(fields[7], 'credited', 0),
    open = int(fields[8], 'open', 0),
    requests_at = tonumber(fields[9] or '0'),
    tokens_at = tonumber(fields[10] or '0'),
  }
  wallet.available = wallet.base - wallet.pend - wallet.held
  if known then
    known[wallet_key] = wallet
  end
  return wallet
end

local function set_wallet(wallet)
  redis.call('HSET', wallet.name, 'held', text(wallet.held), 'pend', text(wallet.pend),
    'open', text(wallet.open), 'ra', text(wallet.requests_at), 'ta', text(wallet.tokens_at))
end

local function write_wallet(wallet)
  wallet.available = wallet.base - wallet.pend - wallet.held
  write_figures(wallet, set_wallet)
end

-- push: take over credits, debt, state and key changes that PostgreSQL decided. The figures are
-- absolute and have a version: an older push changes nothing. PostgreSQL's credits only grow.
-- KEYS fence wallet_key
-- ARGV posted credited debt state version
-- Returns OK | RECOVERING | MISSING
local function push(keys, args, epoch)
  local fence, wallet_key = unpack(keys)
  local posted, credited, debt, state, version = unpack(args)
  int(posted, 'posted', 0)
  credited = int(credited, 'credited', 0)
  debt = int(debt, 'debt', 0)
  str(state, 'state')
  version = int(version, 'version', 1)
  local wallet = read_wallet(wallet_key, epoch)
  if not wallet then
    return { 'MISSING' }
  end
  if version > wallet.v then
    if credited < wallet.credited then
      error('ARGUMENT credited is below what it was')
    end
    redis.call('HINCRBY', wallet_key, 'base', text(credited - wallet.credited))
    redis.call('HSET', wallet_key, 'credited', text(credited), 'debt', text(debt),
      'state', state, 'v', text(version))
  end
  return { 'OK' }
end

-- read: a wallet's figures.
-- KEYS fence wallet_key
-- Returns OK base pend held debt version | RECOVERING | MISSING
local function read(keys, _, epoch)
  local fence, wallet_key = unpack(keys)
  local wallet = read_wallet(wallet_key, epoch)
  if not wallet then
    return { 'MISSING' }
  end
  return { 'OK', wallet.base, wallet.pend, wallet.held, wallet.debt, wallet.v }
end
