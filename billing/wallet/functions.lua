#!lua name=tokenproxy_wallet

-- The wallets' half of the money: every debit is decided here, atomically.
--
-- available = base - pend - held, and never below zero:
--   base  posted credits, as PostgreSQL booked them
--   pend  debits decided here and not yet acknowledged as booked
--   held  the open holds
--
-- KEYS of one wallet share the hash tag of its shard, {s}:
--   {s}:fence          string, the epoch in which this shard was opened
--   {s}:wallet:<id>    hash: base pend held credited v state debt
--   {s}:hold:<ref>     hash: the register of one request or debit (see `place`, `debit`)
--   {s}:leases         sorted set: request id -> when its lease runs out, ms
--   {s}:events         stream: debits for the drain to book
--   {s}:rate:<key id>  string: an API key's theoretical arrival time, µs
--
-- Rules that keep it whole:
--   * A failing script is not rolled back, so every argument is validated before the first write.
--   * Every function may be called again with the same arguments; the second call changes nothing.
--   * Nothing answers while the fence is closed. The epoch below lives in this server process: it
--     is gone after a restart or a failover; the fence key is gone after a flush. Either closes it.
--   * Replies are arrays of a status and integers, made with `int`, never with a unary minus.

local VERSION = '1'
local MAX_INTEGER = 9007199254740991 -- 2^53 - 1: the largest integer a Lua number counts exactly
local REGISTER_TTL_S = 900 -- how long a booked register still answers to a late repetition

local epochs = {}

local function is_open(fence)
  local epoch = epochs[fence]
  return epoch ~= nil and redis.call('GET', fence) == epoch
end

-- A whole number of at least `least` from an argument or a field, or an error naming it.
local function int(text, name, least)
  if type(text) ~= 'string' or not string.match(text, '^%-?%d+$') then
    error('ARGUMENT ' .. name .. ' is not a whole number')
  end
  local number = tonumber(text)
  if number < (least or 0) or number > MAX_INTEGER then
    error('ARGUMENT ' .. name .. ' is out of range')
  end
  return number
end

local function str(text, name)
  if type(text) ~= 'string' or text == '' then
    error('ARGUMENT ' .. name .. ' is empty')
  end
  return text
end

-- Redis converts Lua numbers with %.17g; this spelling is exact for every integer that we hold.
local function text(number)
  return string.format('%.0f', number + 0)
end

local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

local function read_wallet(key)
  local fields = redis.call('HMGET', key, 'base', 'pend', 'held', 'v', 'state', 'debt', 'credited')
  if not fields[1] then
    return nil
  end
  local wallet = {
    base = int(fields[1], 'base', 0),
    pend = int(fields[2], 'pend', 0),
    held = int(fields[3], 'held', 0),
    v = int(fields[4], 'v', 0),
    state = fields[5],
    debt = int(fields[6], 'debt', 0),
    credited = int(fields[7], 'credited', 0),
  }
  wallet.available = wallet.base - wallet.pend - wallet.held
  return wallet
end

local function read_register(key)
  local fields = redis.call('HMGET', key, 's', 'w', 'a', 't', 'c', 'n', 'f', 'pt', 'p')
  if not fields[1] then
    return nil
  end
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
  }
end

-- GCRA: `limit` requests a minute, refilled smoothly, all of a minute's at once if unused.
-- Returns whether one more may pass, how many are left, when all are back and when to try again
-- (ms), and the new arrival time (µs).
local function check_rate(key, limit)
  local now = now_us()
  local interval = math.ceil(60000000 / limit)
  local arrival = math.max(tonumber(redis.call('GET', key) or '0'), now)
  local next_arrival = arrival + interval
  if next_arrival - now > interval * limit then
    local wait_us = next_arrival - now - interval * limit
    return false, 0, math.ceil((arrival - now) / 1000), math.ceil(wait_us / 1000), arrival
  end
  local left = math.floor((interval * limit - (next_arrival - now)) / interval)
  return true, left, math.ceil((next_arrival - now) / 1000), 0, next_arrival
end

-- place: hold the worst case of a request.
-- KEYS fence wallet hold leases rate
-- ARGV request wallet_id known_version fixed_mc unit_mc units_wanted units_least lease_ms rpm facts
-- The amount is ceil((fixed_mc + unit_mc * units) / 1000) for as many units as are affordable,
-- between units_least and units_wanted.
-- Returns OK held units available rate_left rate_reset_ms | RECOVERING | MISSING | STALE | FROZEN
--   | IN_DEBT | LIMITED limit retry_after_ms reset_ms | INSUFFICIENT available | ENDED
local function place(keys, args)
  local fence, wallet_key, hold_key, leases, rate_key = keys[1], keys[2], keys[3], keys[4], keys[5]
  local request = str(args[1], 'request')
  local wallet_id = str(args[2], 'wallet_id')
  local known = int(args[3], 'known_version', 0)
  local fixed = int(args[4], 'fixed_mc', 0)
  local unit = int(args[5], 'unit_mc', 0)
  local wanted = int(args[6], 'units_wanted', 0)
  local least = int(args[7], 'units_least', 0)
  local lease_ms = int(args[8], 'lease_ms', 1)
  local limit = int(args[9], 'rpm', 1)
  local facts = str(args[10], 'facts')
  if least > wanted then
    error('ARGUMENT units_least is above units_wanted')
  end
  if not is_open(fence) then
    return { 'RECOVERING' }
  end
  local wallet = read_wallet(wallet_key)
  if not wallet then
    return { 'MISSING' }
  end
  if known < wallet.v then
    return { 'STALE' }
  end
  local register = read_register(hold_key)
  if register then
    if register.state ~= 'open' then
      return { 'ENDED' }
    end
    return { 'OK', register.amount, register.units, wallet.available, limit, 0 }
  end
  if wallet.state ~= 'active' then
    return { 'FROZEN' }
  end
  if wallet.debt > 0 then
    return { 'IN_DEBT' }
  end
  local may_pass, left, reset_ms, wait_ms, arrival = check_rate(rate_key, limit)
  if not may_pass then
    return { 'LIMITED', limit, wait_ms, reset_ms }
  end
  local available_mc = wallet.available * 1000
  if fixed + unit * least > available_mc then
    return { 'INSUFFICIENT', wallet.available }
  end
  local units = wanted
  if unit > 0 then
    units = math.min(wanted, math.floor((available_mc - fixed) / unit))
  end
  local amount = math.ceil((fixed + unit * units) / 1000)

  redis.call('SET', rate_key, text(arrival), 'PX', math.max(reset_ms, 1))
  redis.call('HINCRBY', wallet_key, 'held', text(amount))
  redis.call('HSET', hold_key, 's', 'open', 'w', wallet_id, 'a', text(amount), 't', '0', 'c', '0',
    'n', text(units), 'f', facts, 'pt', '0', 'p', '')
  redis.call('ZADD', leases, text(now_ms() + lease_ms), request)
  return { 'OK', amount, units, wallet.available - amount, left, reset_ms }
end

-- extend: renew a lease and record how far the request got; the reaper would charge that.
-- KEYS fence hold leases  ARGV request lease_ms progress_target progress
-- Returns OK | RECOVERING | UNKNOWN | ENDED
local function extend(keys, args)
  local fence, hold_key, leases = keys[1], keys[2], keys[3]
  local request = str(args[1], 'request')
  local lease_ms = int(args[2], 'lease_ms', 1)
  local target = int(args[3], 'progress_target', 0)
  local progress = str(args[4], 'progress')
  if not is_open(fence) then
    return { 'RECOVERING' }
  end
  local register = read_register(hold_key)
  if not register then
    return { 'UNKNOWN' }
  end
  if register.state ~= 'open' then
    return { 'ENDED' }
  end
  if target >= register.progress_target then
    redis.call('HSET', hold_key, 'pt', text(target), 'p', progress)
  end
  redis.call('ZADD', leases, text(now_ms() + lease_ms), request)
  return { 'OK' }
end

local function add_event(events, kind, ref, register, delta, settlement)
  redis.call('XADD', events, '*', 'kind', kind, 'ref', ref, 'wallet', register.wallet,
    'delta', text(delta), 'charged', text(register.charged), 'target', text(register.target),
    'held', text(register.amount), 'facts', register.facts, 'settlement', settlement)
end

-- Raise a register to `target` and record it. Up to the hold a charge is taken in full, because
-- the hold kept it; above the hold only what is available, and the drain writes off the rest.
local function charge(wallet_key, hold_key, leases, events, request, register, wallet, target, how)
  local released, kept = 0, 0
  if register.state == 'open' then
    released = register.amount
    kept = math.min(target, register.amount)
  end
  local available = math.max(wallet.available + released - kept, 0)
  local delta = kept + math.min(target - register.charged - kept, available)
  register.target = target
  register.charged = register.charged + delta

  redis.call('HINCRBY', wallet_key, 'held', text(0 - released))
  redis.call('HINCRBY', wallet_key, 'pend', text(delta))
  redis.call('HSET', hold_key, 's', 'settled', 't', text(target), 'c', text(register.charged))
  redis.call('PERSIST', hold_key)
  redis.call('ZREM', leases, request)
  add_event(events, 'usage', request, register, delta, how)
  return { 'OK', register.charged, wallet.available + released - delta }
end

-- settle: end a request at what it cost. charged = max(all targets seen), as far as it is covered.
-- KEYS fence wallet hold leases events  ARGV request target settlement
-- Returns OK charged available | RECOVERING | UNKNOWN
local function settle(keys, args)
  local fence, wallet_key, hold_key, leases, events = keys[1], keys[2], keys[3], keys[4], keys[5]
  local request = str(args[1], 'request')
  local target = int(args[2], 'target', 0)
  local settlement = str(args[3], 'settlement')
  if not is_open(fence) then
    return { 'RECOVERING' }
  end
  local register = read_register(hold_key)
  local wallet = read_wallet(wallet_key)
  if not register or not wallet then
    return { 'UNKNOWN' }
  end
  if register.state ~= 'open' and target <= register.target and register.state ~= 'void' then
    return { 'OK', register.charged, wallet.available }
  end
  return charge(wallet_key, hold_key, leases, events, request, register, wallet, target, settlement)
end

-- void: release a hold whose request no upstream accepted. Leaves no usage record.
-- KEYS fence wallet hold leases  ARGV request
-- Returns OK available | RECOVERING | UNKNOWN | ENDED
local function void(keys, args)
  local fence, wallet_key, hold_key, leases = keys[1], keys[2], keys[3], keys[4]
  local request = str(args[1], 'request')
  if not is_open(fence) then
    return { 'RECOVERING' }
  end
  local register = read_register(hold_key)
  local wallet = read_wallet(wallet_key)
  if not register or not wallet then
    return { 'UNKNOWN' }
  end
  if register.state == 'void' then
    return { 'OK', wallet.available }
  end
  if register.state ~= 'open' then
    return { 'ENDED' }
  end
  redis.call('HINCRBY', wallet_key, 'held', text(0 - register.amount))
  redis.call('HSET', hold_key, 's', 'void')
  redis.call('EXPIRE', hold_key, REGISTER_TTL_S)
  redis.call('ZREM', leases, request)
  return { 'OK', wallet.available + register.amount }
end

-- reap: settle a hold whose lease ran out, or whose process died, at its last recorded progress.
-- KEYS fence wallet hold leases events  ARGV request settlement_without_progress is_dead
-- Returns OK charged available | RECOVERING | UNKNOWN | ENDED | ALIVE
local function reap(keys, args)
  local fence, wallet_key, hold_key, leases, events = keys[1], keys[2], keys[3], keys[4], keys[5]
  local request = str(args[1], 'request')
  local settlement = str(args[2], 'settlement_without_progress')
  local is_dead = int(args[3], 'is_dead', 0) == 1
  if not is_open(fence) then
    return { 'RECOVERING' }
  end
  local lease = redis.call('ZSCORE', leases, request)
  if lease and not is_dead and tonumber(lease) > now_ms() then
    return { 'ALIVE' }
  end
  local register = read_register(hold_key)
  local wallet = read_wallet(wallet_key)
  if not register or not wallet then
    redis.call('ZREM', leases, request)
    return { 'UNKNOWN' }
  end
  if register.state ~= 'open' then
    redis.call('ZREM', leases, request)
    return { 'ENDED' }
  end
  local target = 0
  if register.progress and register.progress ~= '' then
    target, settlement = register.progress_target, register.progress
  end
  return charge(wallet_key, hold_key, leases, events, request, register, wallet, target, settlement)
end

-- readmit: bring back the register of a request that Redis no longer knows, as PostgreSQL has it,
-- so that a late settlement can raise it by what is available. Its hold is gone.
-- KEYS fence wallet hold  ARGV wallet_id held charged target facts
-- Returns OK | RECOVERING | MISSING
local function readmit(keys, args)
  local wallet_id = str(args[1], 'wallet_id')
  local held = int(args[2], 'held', 0)
  local charged = int(args[3], 'charged', 0)
  local target = int(args[4], 'target', 0)
  local facts = str(args[5], 'facts')
  if not is_open(keys[1]) then
    return { 'RECOVERING' }
  end
  if not read_wallet(keys[2]) then
    return { 'MISSING' }
  end
  if not read_register(keys[3]) then
    -- void: settled at nothing yet, so that even a settlement at 0 leaves its record.
    redis.call('HSET', keys[3], 's', 'void', 'w', wallet_id, 'a', text(held), 't', text(target),
      'c', text(charged), 'n', '0', 'f', facts, 'pt', '0', 'p', '')
    redis.call('EXPIRE', keys[3], REGISTER_TTL_S)
  end
  return { 'OK' }
end

-- debit: take what is available of an amount that is not usage (clawback, expiry, adjustment).
-- KEYS fence wallet register events  ARGV ref wallet_id amount posted credited
-- An expiry gives `posted` and `credited` as PostgreSQL had them when it read what is left of the
-- lot (-1 for other debits). What was spent since, and what is held, comes out of that lot first,
-- so only the rest of it expires.
-- Returns OK taken available | RECOVERING | MISSING
local function debit(keys, args)
  local fence, wallet_key, register_key, events = keys[1], keys[2], keys[3], keys[4]
  local ref = str(args[1], 'ref')
  local wallet_id = str(args[2], 'wallet_id')
  local amount = int(args[3], 'amount', 1)
  local posted = int(args[4], 'posted', -1)
  local credited = int(args[5], 'credited', -1)
  if not is_open(fence) then
    return { 'RECOVERING' }
  end
  local wallet = read_wallet(wallet_key)
  if not wallet then
    return { 'MISSING' }
  end
  local register = read_register(register_key)
  if register then
    return { 'OK', register.charged, wallet.available }
  end
  local most = amount
  if posted >= 0 then
    local spent_since = posted + (wallet.credited - credited) - (wallet.base - wallet.pend)
    most = amount - math.max(spent_since, 0) - wallet.held
  end
  local taken = math.max(math.min(most, wallet.available), 0)
  register = { wallet = wallet_id, amount = 0, target = amount, charged = taken, facts = '-' }
  redis.call('HINCRBY', wallet_key, 'pend', text(taken))
  redis.call('HSET', register_key, 's', 'settled', 'w', wallet_id, 'a', '0', 't', text(amount),
    'c', text(taken), 'n', '0', 'f', '-', 'pt', '0', 'p', '')
  add_event(events, 'debit', ref, register, taken, '-')
  return { 'OK', taken, wallet.available - taken }
end

-- ack: PostgreSQL has booked these events; move their amounts from pend into base and drop them.
-- KEYS fence events  ARGV prefix, then event ids
-- Returns OK dropped | RECOVERING
local function ack(keys, args)
  local fence, events = keys[1], keys[2]
  local prefix = str(args[1], 'prefix')
  if not is_open(fence) then
    return { 'RECOVERING' }
  end
  local dropped = 0
  for index = 2, #args do
    local found = redis.call('XRANGE', events, args[index], args[index])
    if found[1] then
      local fields = {}
      for at = 1, #found[1][2], 2 do
        fields[found[1][2][at]] = found[1][2][at + 1]
      end
      local booked = text(0 - int(fields['delta'], 'delta', 0))
      local wallet_key = prefix .. ':wallet:' .. fields['wallet']
      redis.call('HINCRBY', wallet_key, 'base', booked)
      redis.call('HINCRBY', wallet_key, 'pend', booked)
      redis.call('EXPIRE', prefix .. ':hold:' .. fields['ref'], REGISTER_TTL_S)
      redis.call('XDEL', events, args[index])
      dropped = dropped + 1
    end
  end
  return { 'OK', dropped }
end

-- push: learn of credits, debt, state and key changes that PostgreSQL decided. Absolute values
-- with a version: an older push changes nothing. Credits only ever grow on PostgreSQL's side.
-- KEYS fence wallet  ARGV posted credited debt state version
-- Returns OK | RECOVERING
local function push(keys, args)
  local fence, wallet_key = keys[1], keys[2]
  local posted = int(args[1], 'posted', 0)
  local credited = int(args[2], 'credited', 0)
  local debt = int(args[3], 'debt', 0)
  local state = str(args[4], 'state')
  local version = int(args[5], 'version', 1)
  if not is_open(fence) then
    return { 'RECOVERING' }
  end
  local wallet = read_wallet(wallet_key)
  if not wallet then
    -- No debit of this wallet was ever decided in this epoch, so all of them are in `posted`.
    redis.call('HSET', wallet_key, 'base', text(posted), 'pend', '0', 'held', '0',
      'credited', text(credited), 'debt', text(debt), 'state', state, 'v', text(version))
  elseif version > wallet.v then
    if credited < wallet.credited then
      error('ARGUMENT credited is below what it was')
    end
    redis.call('HINCRBY', wallet_key, 'base', text(credited - wallet.credited))
    redis.call('HSET', wallet_key, 'credited', text(credited), 'debt', text(debt),
      'state', state, 'v', text(version))
  end
  return { 'OK' }
end

-- read: a wallet's figures. KEYS fence wallet
-- Returns OK base pend held debt version | RECOVERING | MISSING
local function read(keys, _)
  if not is_open(keys[1]) then
    return { 'RECOVERING' }
  end
  local wallet = read_wallet(keys[2])
  if not wallet then
    return { 'MISSING' }
  end
  return { 'OK', wallet.base, wallet.pend, wallet.held, wallet.debt, wallet.v }
end

-- The recoverer's functions work only behind a closed fence, so that one which was overtaken by
-- another can't write into a wallet that is in use again.

-- restore_wallet: set a wallet to absolute figures.
-- KEYS fence wallet  ARGV base pend held credited debt state version.  Returns OK | OPEN
local function restore_wallet(keys, args)
  local base = int(args[1], 'base', 0)
  local pend = int(args[2], 'pend', 0)
  local held = int(args[3], 'held', 0)
  local credited = int(args[4], 'credited', 0)
  local debt = int(args[5], 'debt', 0)
  local state = str(args[6], 'state')
  local version = int(args[7], 'version', 1)
  if is_open(keys[1]) then
    return { 'OPEN' }
  end
  redis.call('HSET', keys[2], 'base', text(base), 'pend', text(pend), 'held', text(held),
    'credited', text(credited), 'debt', text(debt), 'state', state, 'v', text(version))
  return { 'OK' }
end

-- restore_hold: put back an open hold that Redis lost. Leaves the wallet to restore_wallet.
-- KEYS fence hold leases  ARGV request wallet_id amount lease_ms facts.  Returns OK | OPEN
local function restore_hold(keys, args)
  local request = str(args[1], 'request')
  local wallet_id = str(args[2], 'wallet_id')
  local amount = int(args[3], 'amount', 0)
  local lease_ms = int(args[4], 'lease_ms', 1)
  local facts = str(args[5], 'facts')
  if is_open(keys[1]) then
    return { 'OPEN' }
  end
  redis.call('DEL', keys[2])
  redis.call('HSET', keys[2], 's', 'open', 'w', wallet_id, 'a', text(amount), 't', '0', 'c', '0',
    'n', '0', 'f', facts, 'pt', '0', 'p', '')
  redis.call('ZADD', keys[3], text(now_ms() + lease_ms), request)
  return { 'OK' }
end

-- restore_event: put back a settlement that Redis lost; the register is settled at it.
-- KEYS fence hold leases events
-- ARGV kind ref wallet_id delta charged target held facts settlement.  Returns OK | OPEN
local function restore_event(keys, args)
  local kind = str(args[1], 'kind')
  local ref = str(args[2], 'ref')
  local wallet_id = str(args[3], 'wallet_id')
  local delta = int(args[4], 'delta', 0)
  local charged = int(args[5], 'charged', 0)
  local target = int(args[6], 'target', 0)
  local held = int(args[7], 'held', 0)
  local facts = str(args[8], 'facts')
  local settlement = str(args[9], 'settlement')
  if is_open(keys[1]) then
    return { 'OPEN' }
  end
  redis.call('DEL', keys[2])
  redis.call('HSET', keys[2], 's', 'settled', 'w', wallet_id, 'a', text(held), 't', text(target),
    'c', text(charged), 'n', '0', 'f', facts, 'pt', '0', 'p', '')
  redis.call('ZREM', keys[3], ref)
  local register =
    { wallet = wallet_id, amount = held, target = target, charged = charged, facts = facts }
  add_event(keys[4], kind, ref, register, delta, settlement)
  return { 'OK' }
end

-- forget: drop registers, leases and events that PostgreSQL already has.
-- KEYS fence leases events  ARGV prefix n_events event-ids… refs….  Returns OK | OPEN
local function forget(keys, args)
  local prefix = str(args[1], 'prefix')
  local count = int(args[2], 'n_events', 0)
  if is_open(keys[1]) then
    return { 'OPEN' }
  end
  for index = 3, #args do
    if index <= count + 2 then
      redis.call('XDEL', keys[3], args[index])
    else
      redis.call('DEL', prefix .. ':hold:' .. args[index])
      redis.call('ZREM', keys[2], args[index])
    end
  end
  return { 'OK' }
end

-- open: the shard has been rebuilt; let the API use it. KEYS fence  ARGV epoch
local function open(keys, args)
  local epoch = str(args[1], 'epoch')
  redis.call('SET', keys[1], epoch)
  epochs[keys[1]] = epoch
  return { 'OK' }
end

-- close: stop serving a shard until it has been rebuilt. KEYS fence
local function close(keys, _)
  epochs[keys[1]] = nil
  redis.call('DEL', keys[1])
  return { 'OK' }
end

-- status: OK if the shard is open, RECOVERING if not. KEYS fence
local function status(keys, _)
  return { is_open(keys[1]) and 'OK' or 'RECOVERING' }
end

redis.register_function('tp_place', place)
redis.register_function('tp_extend', extend)
redis.register_function('tp_settle', settle)
redis.register_function('tp_void', void)
redis.register_function('tp_reap', reap)
redis.register_function('tp_readmit', readmit)
redis.register_function('tp_debit', debit)
redis.register_function('tp_ack', ack)
redis.register_function('tp_push', push)
redis.register_function('tp_read', read)
redis.register_function('tp_restore_wallet', restore_wallet)
redis.register_function('tp_restore_hold', restore_hold)
redis.register_function('tp_restore_event', restore_event)
redis.register_function('tp_forget', forget)
redis.register_function('tp_open', open)
redis.register_function('tp_close', close)
redis.register_function('tp_status', status)
redis.register_function('tp_version', function() return VERSION end)
