-- Holds: the most that a running request may cost, kept from the balance until it ends.

-- Count a hold for an API key or a member.
local function take_on(figures, hold)
  figures.open = figures.open + 1
  figures.held = figures.held + hold.amount
  figures.month_held = figures.month_held + hold.amount
end

-- Write a hold: everything that `place` changes.
local function write_hold(ask, hold)
  local wallet, key, requests, tokens = hold.wallet, hold.key, hold.requests, hold.tokens
  wallet.held = wallet.held + hold.amount
  wallet.open = wallet.open + 1
  wallet.requests_at = requests.wallet.arrival
  wallet.tokens_at = tokens.wallet.arrival
  write_wallet(wallet)
  take_on(key, hold)
  key.requests_at = requests.key.arrival
  key.tokens_at = tokens.key.arrival
  write_key(key)
  if hold.member then
    take_on(hold.member, hold)
    write_key(hold.member)
  end
  write_register(ask.hold_key, hold.epoch, {
    state = 'open', wallet = ask.wallet_id, amount = hold.amount, target = 0, charged = 0,
    units = hold.units, facts = ask.facts, progress_target = 0, progress = '', key = ask.key_id,
    month = ask.month, tokens = tokens.count, key_us = tokens.key.cost,
    wallet_us = tokens.wallet.cost,
  }, not hold.is_over_stale)
  redis.call('ZADD', ask.leases, text(math.floor(hold.now / 1000) + ask.lease_ms), ask.request)
end

-- The reply that names a hold.
local function placed(hold)
  return with_rates({ 'OK', hold.amount, hold.units, hold.wallet.available - hold.amount },
    tighter(hold.requests.key, hold.requests.wallet), tighter(hold.tokens.key, hold.tokens.wallet))
end

-- place: hold the worst case of a request.
-- KEYS fence wallet_key hold_key leases api_key events drained_at
-- ARGV request wallet_id known_version fixed_mc unit_mc units_wanted units_least lease_ms facts
--   max_events max_age_ms key_id month fixed_tokens unit_tokens limits requests
-- The amount is ceil((fixed_mc + unit_mc * units) / 1000) for as many units as are affordable,
-- between units_least and units_wanted; the tokens are fixed_tokens + unit_tokens * units, and no
-- more than a whole minute's. `limits` are those of `LIMITS`.
-- Returns OK held units available RATES | RECOVERING | BACKLOGGED | MISSING | STALE | FROZEN
--   | IN_DEBT | UNCOUNTED | INSUFFICIENT available | CAPPED is_members is_monthly cap left
--   | TOO_LARGE limit tokens
--   | BUSY is_wallets limit RATES | LIMITED is_wallets limit retry_after_ms RATES
--   | EXHAUSTED is_wallets limit retry_after_ms RATES | ENDED
-- RATES is limit left reset_ms of requests, then of tokens: the key's or the wallet's, whichever
-- has less left. LIMITED is about requests per minute, EXHAUSTED about tokens. UNCOUNTED asks for
-- `count_member`: the member has a cap.
local function place(keys, args, epoch)
  local ask = read_ask(keys, args)
  local reply, hold = decide(ask, epoch)
  if hold then
    reply = placed(hold)
    write_hold(ask, hold)
  end
  return reply
end

-- quote: what `place` would answer now. Writes nothing.
-- KEYS fence wallet_key hold_key leases api_key events drained_at
-- ARGV request wallet_id known_version fixed_mc unit_mc units_wanted units_least lease_ms facts
--   max_events max_age_ms key_id month fixed_tokens unit_tokens limits requests
-- Returns as `place`
local function quote(keys, args, epoch)
  local reply, hold = decide(read_ask(keys, args), epoch)
  return hold and placed(hold) or reply
end

-- extend: renew a lease and record how far the request got; the reaper would charge that.
-- KEYS fence hold_key leases
-- ARGV request lease_ms progress_target progress
-- Returns OK | RECOVERING | UNKNOWN | ENDED
local function extend(keys, args, epoch)
  local fence, hold_key, leases = unpack(keys)
  local request, lease_ms, progress_target, progress = unpack(args)
  str(request, 'request')
  lease_ms = int(lease_ms, 'lease_ms', 1)
  local target = int(progress_target, 'progress_target', 0)
  str(progress, 'progress')
  local register = read_register(hold_key, epoch)
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

-- holds: the open holds of a shard, and how many leases belong to none of them.
-- KEYS fence leases
-- ARGV prefix
-- Returns OK idle, and then of each hold: wallet_id key_id amount member_id | RECOVERING
local function holds(keys, args, epoch)
  local fence, leases = unpack(keys)
  local prefix = unpack(args)
  str(prefix, 'prefix')
  local reply = { 'OK', 0 }
  for _, request in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
    local found = read_register(prefix .. ':hold:' .. request, epoch)
    if found and found.state == 'open' then
      reply[#reply + 1] = tonumber(found.wallet)
      reply[#reply + 1] = tonumber(found.key)
      reply[#reply + 1] = found.amount
      reply[#reply + 1] = tonumber(member_in(found.facts) or '0')
    else
      reply[2] = reply[2] + 1
    end
  end
  return reply
end
