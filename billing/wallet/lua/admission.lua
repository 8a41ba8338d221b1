-- Admission: whether a request may be held now, and how much of it.

-- The keys and arguments of `place` and `quote`, all of them validated.
-- KEYS fence wallet_key hold_key leases api_key events drained_at
-- ARGV request wallet_id known_version fixed_mc unit_mc units_wanted units_least lease_ms facts
--   max_events max_age_ms key_id month fixed_tokens unit_tokens limits requests
local function read_ask(keys, args)
  local fence, wallet_key, hold_key, leases, api_key, events, drained_at = unpack(keys)
  local request, wallet_id, known_version, fixed_mc, unit_mc, units_wanted, units_least, lease_ms,
    facts, max_events, max_age_ms, key_id, month, fixed_tokens, unit_tokens, limits, requests =
    unpack(args)
  local ask = {
    fence = fence, wallet_key = wallet_key, hold_key = hold_key, leases = leases,
    api_key = api_key, events = events, drained_at = drained_at,
    request = str(request, 'request'),
    wallet_id = id(wallet_id, 'wallet_id'),
    known = int(known_version, 'known_version', 0),
    fixed = int(fixed_mc, 'fixed_mc', 0),
    unit = int(unit_mc, 'unit_mc', 0),
    wanted = int(units_wanted, 'units_wanted', 0),
    least = int(units_least, 'units_least', 0),
    lease_ms = int(lease_ms, 'lease_ms', 1),
    facts = str(facts, 'facts'),
    max_events = int(max_events, 'max_events', 0),
    max_age_ms = int(max_age_ms, 'max_age_ms', 0),
    key_id = id(key_id, 'key_id'),
    month = id(month, 'month'),
    fixed_tokens = int(fixed_tokens, 'fixed_tokens', 0),
    unit_tokens = int(unit_tokens, 'unit_tokens', 0),
    limits = read_limits(limits),
    requests = int(requests, 'requests', 0),
  }
  if ask.least > ask.wanted then
    error('ARGUMENT units_least is above units_wanted')
  end
  return ask
end

-- The refusal of a wallet that may hold nothing before its owner or staff do something; nil if
-- there is none.
local function refuse_wallet(wallet)
  if wallet.state ~= 'active' then
    return { 'FROZEN' }
  end
  if wallet.debt > 0 then
    return { 'IN_DEBT' }
  end
  return nil
end

-- The refusal of a wallet that may hold nothing at all now; nil if it may.
local function refuse_all(ask, wallet)
  local refusal = refuse_wallet(wallet)
  if refusal then
    return refusal
  end
  if is_backlogged(ask.events, ask.drained_at, ask.max_events, ask.max_age_ms) then
    return { 'BACKLOGGED' }
  end
  return nil
end

-- Admit one more request, at once and per minute; it takes none (`requests` is 0) if it was
-- counted before its body was read. Returns what it takes of the key's and of the wallet's bucket,
-- or nil and a refusal that lacks the present rates.
local function admit_request(wallet, key, limits, requests, now)
  if key.open >= limits.key_open then
    return nil, { 'BUSY', 0, limits.key_open }
  end
  if wallet.open >= limits.wallet_open then
    return nil, { 'BUSY', 1, limits.wallet_open }
  end
  return admit_requests(key.requests_at, wallet.requests_at, limits, requests, now)
end

-- How many units the credits and a whole minute's tokens afford; nil and a refusal if that is less
-- than `units_least`.
local function find_units(ask, wallet, key, member)
  local credits, refusal =
    find_credits(wallet, key, member, ask.limits, ask.fixed + ask.unit * ask.least)
  if not credits then
    return nil, refusal
  end
  local most_tokens = math.min(ask.limits.key_tpm, ask.limits.wallet_tpm)
  local least_tokens = ask.fixed_tokens + ask.unit_tokens * ask.least
  if least_tokens > most_tokens then
    return nil, { 'TOO_LARGE', most_tokens, least_tokens }
  end
  local units = ask.wanted
  if ask.unit > 0 then
    units = math.min(units, math.floor((credits * 1000 - ask.fixed) / ask.unit))
  end
  if ask.unit_tokens > 0 then
    units = math.min(units, math.floor((most_tokens - ask.fixed_tokens) / ask.unit_tokens))
  end
  return units
end

-- Decide about a hold, and write nothing: nothing else decides what is admitted. Returns the final
-- answer, or nil and the hold that is to be written.
local function decide(ask, epoch)
  local limits = ask.limits
  local wallet = read_wallet(ask.wallet_key, epoch)
  if not wallet then
    return { 'MISSING' }
  end
  if ask.known < wallet.v then
    return { 'STALE' }
  end
  local key, now = read_key(ask.api_key, epoch, ask.month), now_us()
  local register, is_stale = read_register(ask.hold_key, epoch)
  if register then
    if register.state ~= 'open' then
      return { 'ENDED' }
    end
    local reply = { 'OK', register.amount, register.units, wallet.available }
    return with_present_rates(reply, key, wallet, limits, now)
  end
  local refusal = refuse_all(ask, wallet)
  if refusal then
    return refusal
  end
  local member =
    find_member(ask.fence, epoch, ask.wallet_key, ask.wallet_id, ask.facts, ask.month)
  if is_uncounted(member, limits) then
    return { 'UNCOUNTED' }
  end
  local requests, no_requests = admit_request(wallet, key, limits, ask.requests, now)
  if not requests then
    return with_present_rates(no_requests, key, wallet, limits, now)
  end
  local units, no_units = find_units(ask, wallet, key, member)
  if not units then
    return no_units
  end
  local tokens, no_tokens =
    admit_tokens(wallet, key, limits, ask.fixed_tokens + ask.unit_tokens * units, now)
  if not tokens then
    return with_present_rates(no_tokens, key, wallet, limits, now)
  end
  return nil, {
    amount = math.ceil((ask.fixed + ask.unit * units) / 1000), units = units, epoch = epoch,
    wallet = wallet, key = key, member = member, requests = requests, tokens = tokens, now = now,
    is_over_stale = is_stale,
  }
end

-- count_request: take one of the requests per minute beforehand; its `place` is told to take none.
-- KEYS fence wallet_key api_key
-- ARGV known_version month limits
-- Returns OK | RECOVERING | MISSING | STALE | FROZEN | IN_DEBT
--   | LIMITED is_wallets limit retry_after_ms RATES
local function count_request(keys, args, epoch)
  local fence, wallet_key, api_key = unpack(keys)
  local known_version, month, limits = unpack(args)
  known_version = int(known_version, 'known_version', 0)
  id(month, 'month')
  limits = read_limits(limits)
  local wallet = read_wallet(wallet_key, epoch)
  if not wallet then
    return { 'MISSING' }
  end
  if known_version < wallet.v then
    return { 'STALE' }
  end
  local refusal = refuse_wallet(wallet)
  if refusal then
    return refusal
  end
  local key, now = read_key(api_key, epoch, month), now_us()
  local taken, none_left = admit_requests(key.requests_at, wallet.requests_at, limits, 1, now)
  if not taken then
    return with_present_rates(none_left, key, wallet, limits, now)
  end
  wallet.requests_at = taken.wallet.arrival
  write_wallet(wallet)
  key.requests_at = taken.key.arrival
  write_key(key)
  return { 'OK' }
end
