-- Settling: how a hold ends. It is settled at what its request cost, voided, or reaped.

-- Take an open hold off the figures of an API key or a member.
local function take_off(figures, register)
  figures.held = figures.held - register.amount
  figures.month_held = figures.month_held - register.amount
  figures.open = figures.open - 1
end

-- Take an open hold off the figures of its wallet, its key and, if they are counted, its member.
local function let_go(wallet, key, member, register)
  wallet.held = wallet.held - register.amount
  wallet.open = wallet.open - 1
  take_off(key, register)
  if member then
    take_off(member, register)
  end
end

-- Count a charge for an API key or a member.
local function spend(figures, delta)
  figures.spent = figures.spent + delta
  figures.month_spent = figures.month_spent + delta
end

-- Write what an ending changes of a wallet, its key and its member.
local function write_ending(wallet, key, member)
  write_wallet(wallet)
  write_key(key)
  if member then
    write_key(member)
  end
end

-- Raise a register to `target` and record it. Up to the hold a charge is taken in full, because
-- the hold kept it; above the hold only what is available, and the drain writes off the rest.
-- `used` is how many tokens the request used; nil leaves them at what it might have used.
-- KEYS fence wallet_key hold_key leases events
local function charge(keys, epoch, request, register, wallet, target, how, used)
  local fence, wallet_key, hold_key, leases, events = unpack(keys)
  local key = key_of(fence, epoch, register)
  local member = member_of(fence, epoch, wallet_key, register)
  target = math.max(target, register.target)
  local due = target - register.charged
  local kept = 0
  local was_open = register.state == 'open'
  if was_open then
    kept = math.min(due, register.amount)
    let_go(wallet, key, member, register)
    if used then
      correct_tokens(wallet, key, register, used)
    end
  end
  -- Where more is due than was held, the whole hold was kept: what is available is as it was read.
  local delta = kept + math.min(due - kept, math.max(wallet.available, 0))
  register.target = target
  register.charged = register.charged + delta
  spend(key, delta)
  if member then
    spend(member, delta)
  end
  wallet.pend = wallet.pend + delta
  write_ending(wallet, key, member)
  redis.call('HSET', hold_key, 's', 'settled', 't', text(target), 'c', text(register.charged))
  if not was_open then
    -- A register that has ended may have a time to live; an open one has none.
    redis.call('PERSIST', hold_key)
  end
  redis.call('ZREM', leases, request)
  add_event(events, 'usage', request, register, delta, how)
  return { 'OK', register.charged, wallet.available }
end

-- settle: end a request at what it cost. charged = max(all targets seen), as far as it is covered.
-- KEYS fence wallet_key hold_key leases events
-- ARGV request target settlement used_tokens
-- Returns OK charged available | RECOVERING | UNKNOWN
local function settle(keys, args, epoch)
  local fence, wallet_key, hold_key, leases, events = unpack(keys)
  local request, target, settlement, used_tokens = unpack(args)
  str(request, 'request')
  target = int(target, 'target', 0)
  str(settlement, 'settlement')
  local used = int(used_tokens, 'used_tokens', 0)
  local register = read_register(hold_key, epoch)
  local wallet = read_wallet(wallet_key, epoch)
  if not register or not wallet then
    return { 'UNKNOWN' }
  end
  if register.state == 'settled' and target <= register.target then
    if redis.call('HDEL', hold_key, 'r') == 1 then
      -- It was reaped while its process lived on: its receipt is to say how it ended after all.
      redis.call('PERSIST', hold_key)
      add_event(events, 'usage', request, register, 0, settlement)
    end
    return { 'OK', register.charged, wallet.available }
  end
  return charge(keys, epoch, request, register, wallet, target, settlement, used)
end

-- settle_late: settle a request that Redis does not know any more, from what PostgreSQL has of it.
-- Its hold is gone, so it is charged what is available. If Redis does know it, this is `settle`.
-- KEYS fence wallet_key hold_key leases events
-- ARGV request target settlement used_tokens wallet_id held booked_charged booked_target facts
--   key_id month
-- Returns OK charged available | RECOVERING | MISSING
local function settle_late(keys, args, epoch)
  local fence, wallet_key, hold_key = unpack(keys)
  local request, target, settlement, used_tokens, wallet_id, held, booked_charged, booked_target,
    facts, key_id, month = unpack(args)
  str(request, 'request')
  int(target, 'target', 0)
  str(settlement, 'settlement')
  int(used_tokens, 'used_tokens', 0)
  id(wallet_id, 'wallet_id')
  held = int(held, 'held', 0)
  booked_charged = int(booked_charged, 'booked_charged', 0)
  booked_target = int(booked_target, 'booked_target', 0)
  str(facts, 'facts')
  id(key_id, 'key_id')
  id(month, 'month')
  if not read_wallet(wallet_key, epoch) then
    return { 'MISSING' }
  end
  if not read_register(hold_key, epoch) then
    -- Not open, because it holds nothing; not settled, so that a settlement at 0 is recorded.
    write_register(hold_key, epoch, {
      state = 'void', wallet = wallet_id, amount = held, target = booked_target,
      charged = booked_charged, units = 0, facts = facts, progress_target = 0, progress = '',
      key = key_id, month = month, tokens = 0, key_us = 0, wallet_us = 0,
    })
  end
  return settle(keys, { request, target, settlement, used_tokens }, epoch)
end

-- Release an open hold without a record. Its tokens were not used.
-- KEYS fence wallet_key hold_key leases
local function release(keys, epoch, request, register, wallet)
  local fence, wallet_key, hold_key, leases = unpack(keys)
  local key = key_of(fence, epoch, register)
  local member = member_of(fence, epoch, wallet_key, register)
  let_go(wallet, key, member, register)
  correct_tokens(wallet, key, register, 0)
  write_ending(wallet, key, member)
  redis.call('HSET', hold_key, 's', 'void')
  redis.call('EXPIRE', hold_key, REGISTER_TTL_S)
  redis.call('ZREM', leases, request)
end

-- void: release a hold whose request no upstream accepted. Leaves no usage record.
-- KEYS fence wallet_key hold_key leases
-- ARGV request
-- Returns OK available | RECOVERING | UNKNOWN | ENDED
local function void(keys, args, epoch)
  local fence, wallet_key, hold_key = unpack(keys)
  local request = unpack(args)
  str(request, 'request')
  local register = read_register(hold_key, epoch)
  local wallet = read_wallet(wallet_key, epoch)
  if not register or not wallet then
    return { 'UNKNOWN' }
  end
  if register.state == 'void' then
    return { 'OK', wallet.available }
  end
  if register.state ~= 'open' then
    return { 'ENDED' }
  end
  release(keys, epoch, request, register, wallet)
  return { 'OK', wallet.available }
end

-- reap: end a hold whose lease ran out, or whose process died: settle it at its last recorded
-- progress, without one at `settlement_without_progress`, and if that is '-', void it.
-- KEYS fence wallet_key hold_key leases events
-- ARGV request settlement_without_progress target_without_progress is_dead
-- Returns OK charged available | VOID | RECOVERING | UNKNOWN | ENDED | ALIVE
local function reap(keys, args, epoch)
  local fence, wallet_key, hold_key, leases = unpack(keys)
  local request, settlement_without_progress, target_without_progress, is_dead = unpack(args)
  str(request, 'request')
  local settlement = str(settlement_without_progress, 'settlement_without_progress')
  local target = int(target_without_progress, 'target_without_progress', 0)
  is_dead = int(is_dead, 'is_dead', 0) == 1
  local lease = redis.call('ZSCORE', leases, request)
  if lease and not is_dead and tonumber(lease) > now_ms() then
    return { 'ALIVE' }
  end
  local register = read_register(hold_key, epoch)
  local wallet = read_wallet(wallet_key, epoch)
  if not register or not wallet then
    redis.call('ZREM', leases, request)
    return { 'UNKNOWN' }
  end
  if register.state ~= 'open' then
    redis.call('ZREM', leases, request)
    return { register.state == 'void' and 'VOID' or 'ENDED' }
  end
  if register.progress ~= '' then
    target, settlement = register.progress_target, register.progress
  elseif settlement == '-' then
    release(keys, epoch, request, register, wallet)
    return { 'VOID' }
  end
  local reply = charge(keys, epoch, request, register, wallet, target, settlement)
  redis.call('HSET', hold_key, 'r', '1')
  return reply
end
