-- Restoring: what the recoverer writes between `begin` and `open`. Every function here answers
-- OVERTAKEN unless the rebuild that `begin` named is still the present one. So neither a rebuild
-- that was overtaken by another nor one that a restart or a flush caught half-way can open a shard.

-- restore_wallets: set wallets to absolute figures.
-- KEYS fence
-- ARGV epoch prefix
-- each wallet_id base pend held credited debt state version open
-- Returns OK | OVERTAKEN
local function restore_wallets(_, args)
  local epoch, prefix = unpack(args, 1, 2)
  str(prefix, 'prefix')
  local rows = {}
  for at = 3, #args, 9 do
    local wallet_id, base, pend, held, credited, debt, state, version, open =
      unpack(args, at, at + 8)
    id(wallet_id, 'wallet_id')
    int(base, 'base', 0)
    int(pend, 'pend', 0)
    int(held, 'held', 0)
    int(credited, 'credited', 0)
    int(debt, 'debt', 0)
    str(state, 'state')
    int(version, 'version', 1)
    int(open, 'open', 0)
    rows[#rows + 1] = prefix .. ':wallet:' .. wallet_id
  end
  local at = 3
  for _, name in ipairs(rows) do
    local _, base, pend, held, credited, debt, state, version, open = unpack(args, at, at + 8)
    redis.call('HSET', name, 'e', epoch, 'base', base, 'pend', pend, 'held', held,
      'credited', credited, 'debt', debt, 'state', state, 'v', version, 'open', open)
    at = at + 9
  end
  return { 'OK' }
end

-- restore_keys: set what API keys have open, hold and spent to absolute figures. A key
-- without a row spent nothing: its hash, if there is one, is of another epoch.
-- KEYS fence
-- ARGV epoch prefix
-- each key_id open held spent months
-- each month month_held month_spent
-- Returns OK | OVERTAKEN
local function restore_keys(_, args)
  local epoch, prefix = unpack(args, 1, 2)
  str(prefix, 'prefix')
  local rows, names = {}, {}
  local at = 3
  while at <= #args do
    local key_id, open, held, spent, months = unpack(args, at, at + 4)
    local row = {
      prefix .. ':key:' .. id(key_id, 'key_id'), 'e', epoch,
      'open', whole(open, 'open'), 'held', whole(held, 'held'),
      'spent', whole(spent, 'spent'),
    }
    at = at + 5
    for _ = 1, int(months, 'months', 0) do
      local month, month_held, month_spent = unpack(args, at, at + 2)
      id(month, 'month')
      row[#row + 1] = 'held:' .. month
      row[#row + 1] = whole(month_held, 'month_held')
      row[#row + 1] = 'spent:' .. month
      row[#row + 1] = whole(month_spent, 'month_spent')
      at = at + 3
    end
    rows[#rows + 1] = row
    names[#names + 1] = row[1]
  end
  if #names > 0 then
    redis.call('DEL', unpack(names))
  end
  for _, row in ipairs(rows) do
    redis.call('HSET', unpack(row))
  end
  return { 'OK' }
end

-- restore_holds: put back open holds that Redis lost. Leaves the wallets to restore_wallets. A
-- request may have ended since: its end is then the progress that the reaper books.
-- KEYS fence leases
-- ARGV epoch prefix
-- each request wallet_id amount charged target progress_target progress lease_ms facts key_id month
-- Returns OK | OVERTAKEN
local function restore_holds(keys, args)
  local fence, leases = unpack(keys)
  local epoch, prefix = unpack(args, 1, 2)
  str(prefix, 'prefix')
  local rows = {}
  for at = 3, #args, 11 do
    local request, wallet_id, amount, charged, target, progress_target, progress, lease_ms, facts,
      key_id, month = unpack(args, at, at + 10)
    rows[#rows + 1] = {
      request = str(request, 'request'),
      lease_ms = int(lease_ms, 'lease_ms', 0),
      register = {
        state = 'open',
        wallet = id(wallet_id, 'wallet_id'),
        amount = int(amount, 'amount', 0),
        charged = int(charged, 'charged', 0),
        target = int(target, 'target', 0),
        progress_target = int(progress_target, 'progress_target', 0),
        progress = progress,
        units = 0,
        facts = str(facts, 'facts'),
        key = id(key_id, 'key_id'),
        month = id(month, 'month'),
        tokens = 0,
        key_us = 0,
        wallet_us = 0,
      },
    }
  end
  local now = now_ms()
  for _, row in ipairs(rows) do
    write_register(prefix .. ':hold:' .. row.request, epoch, row.register)
    redis.call('ZADD', leases, text(now + row.lease_ms), row.request)
  end
  return { 'OK' }
end

-- keep: bring registers into the new epoch as they are. Open holds get a new lease, because it
-- could not be extended meanwhile, and maybe another amount; -1 is a register that holds nothing.
-- KEYS fence leases
-- ARGV epoch prefix lease_ms
-- each reference amount
-- Returns OK | OVERTAKEN
local function keep(keys, args)
  local fence, leases = unpack(keys)
  local epoch, prefix, lease_ms = unpack(args, 1, 3)
  str(prefix, 'prefix')
  lease_ms = int(lease_ms, 'lease_ms', 0)
  for at = 4, #args, 2 do
    local reference, amount = unpack(args, at, at + 1)
    str(reference, 'reference')
    int(amount, 'amount', -1)
  end
  local lease = text(now_ms() + lease_ms)
  for at = 4, #args, 2 do
    local reference, amount = unpack(args, at, at + 1)
    local name = prefix .. ':hold:' .. reference
    if redis.call('EXISTS', name) == 1 then
      redis.call('HSET', name, 'e', epoch)
      if amount ~= '-1' then
        redis.call('HSET', name, 'a', amount)
        redis.call('ZADD', leases, lease, reference)
      end
    end
  end
  return { 'OK' }
end

-- correct_event: replace an event's amount, and the total that its register was charged, where
-- PostgreSQL has booked a part of the event already or can't book all of it.
-- KEYS fence events hold_key
-- ARGV epoch event_id delta charged
-- Returns OK | OVERTAKEN
local function correct_event(keys, args)
  local fence, events, hold_key = unpack(keys)
  local epoch, event_id, delta, charged = unpack(args)
  str(event_id, 'event_id')
  delta = int(delta, 'delta', 0)
  charged = int(charged, 'charged', 0)
  local event = find_event(events, event_id)
  if event then
    redis.call('XADD', events, '*', 'kind', event['kind'], 'ref', event['ref'],
      'wallet', event['wallet'], 'delta', text(delta), 'charged', text(charged),
      'target', event['target'], 'held', event['held'], 'facts', event['facts'],
      'settlement', event['settlement'], 'key', event['key'] or '0',
      'month', event['month'] or '0')
    redis.call('XDEL', events, event_id)
    if redis.call('EXISTS', hold_key) == 1 then
      redis.call('HSET', hold_key, 'c', text(charged))
    end
  end
  return { 'OK' }
end

-- forget: drop events, registers and leases that PostgreSQL already has: first `n_events` events,
-- then the registers with their leases.
-- KEYS fence leases events
-- ARGV epoch prefix n_events
-- each event_id_or_reference
-- Returns OK | OVERTAKEN
local function forget(keys, args)
  local fence, leases, events = unpack(keys)
  local epoch, prefix, n_events = unpack(args, 1, 3)
  str(prefix, 'prefix')
  n_events = int(n_events, 'n_events', 0)
  for at = 4, #args do
    local name = args[at]
    if at <= n_events + 3 then
      redis.call('XDEL', events, name)
    else
      redis.call('DEL', prefix .. ':hold:' .. name)
      redis.call('ZREM', leases, name)
    end
  end
  return { 'OK' }
end
