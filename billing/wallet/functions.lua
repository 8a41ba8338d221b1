#!lua name=tokenproxy_wallet

-- The wallets' half of the money: every debit is decided here, atomically.
--
-- available = base - pend - held, and never below zero:
--   base  posted credits, as PostgreSQL booked them
--   pend  debits decided here and not yet acknowledged as booked
--   held  the open holds
--
-- KEYS of one wallet share the hash tag of its shard, {s}:
--   {s}:fence          string, the epoch in which this shard was opened, or is being rebuilt
--   {s}:wallet:<id>    hash: base pend held credited v state debt open ra ta
--   {s}:key:<id>       hash: what an API key spent, holds and may still do (see `read_key`)
--   {s}:hold:<ref>     hash: the register of one request or debit (see `write_register`)
--   {s}:leases         sorted set: request id -> when its lease runs out, ms
--   {s}:events         stream: debits for the drain to book
--   {s}:drained        string: when the drain last went through all events, ms
--   {s}:looks:…        string: where a key's or a wallet's looks per minute stand (see `look`)
--
-- Rules that keep it whole:
--   * A failing script is not rolled back, so every argument is validated before the first write.
--   * Every function may be called again with the same arguments; the second call changes nothing.
--   * Nothing answers while the fence is closed. The epoch below lives in this server process: it
--     is gone after a restart or a failover; the fence key is gone after a flush. Either closes it.
--   * A register belongs to the epoch that wrote it, and so does an API key's hash. One that a
--     rebuild did not bring into its own epoch is from a past that did not happen, and is not seen.
--   * What a key holds and has open changes where its wallet's does, by as much.
--   * Replies are arrays of a status and integers, made with `int`, never with a unary minus.

-- Counts upwards: a worker replaces an older library and leaves a newer one alone.
local VERSION = '9'
local MAX_INTEGER = 9007199254740991 -- 2^53 - 1: the largest integer a Lua number counts exactly
local REGISTER_TTL_S = 900 -- how long a booked register still answers to a late repetition
local MINUTE_US = 60000000
local MOST_KNOWN_LIMITS = 1000
local NO_KEY = '0 0 0 0 0' -- also of a register that was written before version 3

local epochs = {} -- fence -> the epoch in which it was opened
local rebuilding = {} -- fence -> the epoch that the present rebuild will open

-- The epoch of an open shard; nil if its fence is closed.
local function read_epoch(fence)
  local epoch = epochs[fence]
  if epoch ~= nil and redis.call('GET', fence) == epoch then
    return epoch
  end
  return nil
end

-- Whether nothing happened to this shard since the rebuild with this epoch began: no restart, no
-- flush, no other rebuild.
local function is_rebuilding(fence, epoch)
  return rebuilding[fence] == epoch and redis.call('GET', fence) == epoch
end

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
  local fields = redis.call('HMGET', key, 'base', 'pend', 'held', 'v', 'state', 'debt', 'credited',
    'open', 'ra', 'ta')
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
    open = int(fields[8], 'open', 0),
    requests_at = tonumber(fields[9] or '0'),
    tokens_at = tonumber(fields[10] or '0'),
  }
  wallet.available = wallet.base - wallet.pend - wallet.held
  return wallet
end

-- An API key: e the epoch, open its open holds, held what they hold, spent what its requests were
-- charged in all, held:<month> and spent:<month> the same of requests that started in that month
-- (UTC), ra and ta where its requests and tokens per minute stand (see `take`).
local function read_key(name, epoch, month)
  local held_then, spent_then = 'held:' .. month, 'spent:' .. month
  local fields = redis.call('HMGET', name, 'e', 'open', 'held', 'spent', held_then, spent_then,
    'ra', 'ta')
  local is_new = fields[1] ~= epoch
  if is_new then
    fields = { epoch, '0', '0', '0' }
  end
  return {
    name = name,
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
end

local function write_key(key, epoch)
  if key.is_new then
    redis.call('DEL', key.name)
  end
  redis.call('HSET', key.name, 'e', epoch, 'open', text(key.open), 'held', text(key.held),
    'spent', text(key.spent), 'held:' .. key.month, text(key.month_held),
    'spent:' .. key.month, text(key.month_spent), 'ra', text(key.requests_at),
    'ta', text(key.tokens_at))
end

-- The key of a register, which names it; the shard's fence names the shard.
local function key_of(fence, epoch, register)
  return read_key(string.sub(fence, 1, -6) .. 'key:' .. register.key, epoch, register.month)
end

-- A register: s its state (open, settled, void), w wallet, a the credits it holds, t the highest
-- target seen, c what was charged of it, n the units held, f the facts, pt and p the progress that
-- the reaper would book, e the epoch, k whose limits it counts for: the API key and the month (0:
-- none), the tokens that it may use, and what they took of the key's and the wallet's minute, µs.
local function write_register(key, epoch, register, is_first)
  -- One of another epoch may be there, with a time to live.
  if not is_first then
    redis.call('DEL', key)
  end
  redis.call('HSET', key, 's', register.state, 'w', register.wallet, 'a', text(register.amount),
    't', text(register.target), 'c', text(register.charged), 'n', text(register.units),
    'f', register.facts, 'pt', text(register.progress_target), 'p', register.progress, 'e', epoch,
    'k', string.format('%s %s %.0f %.0f %.0f', register.key, register.month, register.tokens,
      register.key_us, register.wallet_us))
end

-- Returns nil if there is none of this epoch, and then whether there is one of another.
local function read_register(key, epoch)
  local fields = redis.call('HMGET', key, 's', 'w', 'a', 't', 'c', 'n', 'f', 'pt', 'p', 'e',
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

-- GCRA: `limit` a minute, refilled smoothly, all of a minute's at once if unused. A bucket is its
-- theoretical arrival time, µs; `window` is what a full one is ahead of now, `cost` what is taken.
-- Returns whether that may pass, how many are left, when all are back and when to try again (ms),
-- and the bucket as it is then.
local function take(arrival, limit, window, cost, now)
  -- Never further ahead than a full minute, even if the server's clock was set back.
  arrival = math.min(math.max(arrival, now), now + window)
  local wait_us = arrival + cost - now - window
  local may_pass = wait_us <= 0
  if may_pass then
    arrival = arrival + cost
  end
  return {
    may_pass = may_pass,
    limit = limit,
    left = math.floor((now + window - arrival) * limit / window),
    reset_ms = math.ceil((arrival - now) / 1000),
    wait_ms = math.max(math.ceil(wait_us / 1000), 0),
    arrival = arrival,
    cost = cost,
  }
end

local function take_requests(arrival, limit, count, now)
  -- Rounded up, so that a minute's requests fit into the window to the last.
  local interval = math.ceil(MINUTE_US / limit)
  return take(arrival, limit, interval * limit, interval * count, now)
end

local function take_tokens(arrival, limit, count, now)
  return take(arrival, limit, MINUTE_US, math.floor(count * MINUTE_US / limit), now)
end

-- Of the key's and the wallet's bucket, the one with less left.
local function tighter(of_key, of_wallet)
  return of_wallet.left < of_key.left and of_wallet or of_key
end

-- Append to a reply where requests and tokens per minute stand.
local function with_rates(reply, requests, tokens)
  for _, bucket in ipairs({ requests, tokens }) do
    reply[#reply + 1] = bucket.limit
    reply[#reply + 1] = bucket.left
    reply[#reply + 1] = bucket.reset_ms
  end
  return reply
end

-- The same where nothing is taken.
local function with_present_rates(reply, key, wallet, limits, now)
  return with_rates(reply,
    tighter(take_requests(key.requests_at, limits.key_rpm, 0, now),
      take_requests(wallet.requests_at, limits.wallet_rpm, 0, now)),
    tighter(take_tokens(key.tokens_at, limits.key_tpm, 0, now),
      take_tokens(wallet.tokens_at, limits.wallet_tpm, 0, now)))
end

-- Give back what a request did not use of its tokens per minute, or take what it used beyond them.
local function correct_tokens(wallet, key, register, used)
  if register.tokens > 0 then
    local unused = (register.tokens - used) / register.tokens
    key.tokens_at = math.max(key.tokens_at - math.floor(register.key_us * unused), 0)
    wallet.tokens_at = math.max(wallet.tokens_at - math.floor(register.wallet_us * unused), 0)
  end
end

-- Whether the drain is too far behind: too many events wait, or the first of them for too long.
-- One that can't be booked stays at the head, so it only counts if the drain did not come by since.
local function is_backlogged(events, drained, max_events, max_age_ms)
  local waiting = redis.call('XLEN', events)
  if waiting == 0 then
    return false
  end
  if waiting > max_events then
    return true
  end
  local first = redis.call('XRANGE', events, '-', '+', 'COUNT', 1)[1][1]
  local limit = now_ms() - max_age_ms
  if tonumber(string.match(first, '^%d+')) >= limit then
    return false
  end
  return tonumber(redis.call('GET', drained) or '0') < limit
end

-- The limits of a key and its wallet: eight numbers in one argument, which many requests share.
local LIMITS = { 'key_rpm', 'key_tpm', 'key_open', 'wallet_rpm', 'wallet_tpm', 'wallet_open',
  'lifetime_cap', 'monthly_cap' }
local known_limits, n_known_limits = {}, 0

local function read_limits(packed)
  local limits = known_limits[packed]
  if limits then
    return limits
  end
  limits = {}
  local count = 0
  for number in string.gmatch(str(packed, 'limits'), '[^ ]+') do
    count = count + 1
    local name = LIMITS[count] or error('ARGUMENT limits has too many numbers')
    -- Only a cap may be 0, and -1 is none.
    limits[name] = int(number, name, string.find(name, 'cap$') and -1 or 1)
  end
  if count < #LIMITS then
    error('ARGUMENT limits has too few numbers')
  end
  if n_known_limits >= MOST_KNOWN_LIMITS then
    known_limits, n_known_limits = {}, 0
  end
  known_limits[packed] = limits
  n_known_limits = n_known_limits + 1
  return limits
end

-- What is left of a cap, at least nothing, so that what is free passes one that was lowered; -1 is
-- no cap.
local function left_of(cap, used)
  return cap < 0 and MAX_INTEGER or math.max(cap - used, 0)
end

-- What the balance and the key's caps afford: credits, or a refusal if that is less than `least_mc`.
local function find_credits(wallet, key, limits, least_mc)
  local of_life = left_of(limits.lifetime_cap, key.spent + key.held)
  local of_month = left_of(limits.monthly_cap, key.month_spent + key.month_held)
  if least_mc > wallet.available * 1000 then
    return nil, { 'INSUFFICIENT', wallet.available }
  end
  if least_mc > of_life * 1000 then
    return nil, { 'CAPPED', 0, limits.lifetime_cap, of_life }
  end
  if least_mc > of_month * 1000 then
    return nil, { 'CAPPED', 1, limits.monthly_cap, of_month }
  end
  return math.min(wallet.available, of_life, of_month)
end

-- What `place` is asked for: its arguments, all of them looked at.
local function read_ask(args)
  local ask = {
    request = str(args[1], 'request'),
    wallet_id = id(args[2], 'wallet_id'),
    known = int(args[3], 'known_version', 0),
    fixed = int(args[4], 'fixed_mc', 0),
    unit = int(args[5], 'unit_mc', 0),
    wanted = int(args[6], 'units_wanted', 0),
    least = int(args[7], 'units_least', 0),
    lease_ms = int(args[8], 'lease_ms', 1),
    facts = str(args[9], 'facts'),
    max_events = int(args[10], 'max_events', 0),
    max_age_ms = int(args[11], 'max_age_ms', 0),
    key_id = id(args[12], 'key_id'),
    month = id(args[13], 'month'),
    fixed_tokens = int(args[14], 'fixed_tokens', 0),
    unit_tokens = int(args[15], 'unit_tokens', 0),
    limits = read_limits(args[16]),
  }
  if ask.least > ask.wanted then
    error('ARGUMENT units_least is above units_wanted')
  end
  return ask
end

-- Why a wallet places nothing at all just now; nil if it does. KEYS of `place`
local function refuse_all(keys, ask, wallet)
  if wallet.state ~= 'active' then
    return { 'FROZEN' }
  end
  if wallet.debt > 0 then
    return { 'IN_DEBT' }
  end
  if is_backlogged(keys[6], keys[7], ask.max_events, ask.max_age_ms) then
    return { 'BACKLOGGED' }
  end
  return nil
end

-- What so many requests take of the key's and of the wallet's minute, or a refusal, which wants the
-- present rates.
local function find_requests(key_arrival, wallet_arrival, limits, count, now)
  local of_key = take_requests(key_arrival, limits.key_rpm, count, now)
  if not of_key.may_pass then
    return nil, { 'LIMITED', 0, of_key.limit, of_key.wait_ms }
  end
  local of_wallet = take_requests(wallet_arrival, limits.wallet_rpm, count, now)
  if not of_wallet.may_pass then
    return nil, { 'LIMITED', 1, of_wallet.limit, of_wallet.wait_ms }
  end
  return { key = of_key, wallet = of_wallet }
end

-- A place among the requests at once and in a minute: what it takes of the key's and of the
-- wallet's bucket, or a refusal, which wants the present rates.
local function find_turn(wallet, key, limits, now)
  if key.open >= limits.key_open then
    return nil, { 'BUSY', 0, limits.key_open }
  end
  if wallet.open >= limits.wallet_open then
    return nil, { 'BUSY', 1, limits.wallet_open }
  end
  return find_requests(key.requests_at, wallet.requests_at, limits, 1, now)
end

-- How many units the credits and a whole minute's tokens afford, or a refusal if that is less than
-- the least.
local function find_units(ask, wallet, key)
  local credits, refusal = find_credits(wallet, key, ask.limits, ask.fixed + ask.unit * ask.least)
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

-- What so many tokens take of the key's and of the wallet's minute, or a refusal, which wants the
-- present rates.
local function find_tokens(wallet, key, limits, tokens, now)
  local of_key = take_tokens(key.tokens_at, limits.key_tpm, tokens, now)
  if not of_key.may_pass then
    return nil, { 'EXHAUSTED', 0, of_key.limit, of_key.wait_ms }
  end
  local of_wallet = take_tokens(wallet.tokens_at, limits.wallet_tpm, tokens, now)
  if not of_wallet.may_pass then
    return nil, { 'EXHAUSTED', 1, of_wallet.limit, of_wallet.wait_ms }
  end
  return { key = of_key, wallet = of_wallet, count = tokens }
end

-- Decide about a hold, and write nothing: the one rule of what is admitted. Returns an answer that
-- stands already, or nil and the hold that is to be written. KEYS of `place`
local function decide(keys, ask)
  local limits = ask.limits
  local epoch = read_epoch(keys[1])
  if not epoch then
    return { 'RECOVERING' }
  end
  local wallet = read_wallet(keys[2])
  if not wallet then
    return { 'MISSING' }
  end
  if ask.known < wallet.v then
    return { 'STALE' }
  end
  local key, now = read_key(keys[5], epoch, ask.month), now_us()
  local register, is_stale = read_register(keys[3], epoch)
  if register then
    if register.state ~= 'open' then
      return { 'ENDED' }
    end
    local reply = { 'OK', register.amount, register.units, wallet.available }
    return with_present_rates(reply, key, wallet, limits, now)
  end
  local refusal = refuse_all(keys, ask, wallet)
  if refusal then
    return refusal
  end
  local turn, no_turn = find_turn(wallet, key, limits, now)
  if not turn then
    return with_present_rates(no_turn, key, wallet, limits, now)
  end
  local units, no_units = find_units(ask, wallet, key)
  if not units then
    return no_units
  end
  local tokens, no_tokens =
    find_tokens(wallet, key, limits, ask.fixed_tokens + ask.unit_tokens * units, now)
  if not tokens then
    return with_present_rates(no_tokens, key, wallet, limits, now)
  end
  return nil, {
    amount = math.ceil((ask.fixed + ask.unit * units) / 1000), units = units, epoch = epoch,
    wallet = wallet, key = key, turn = turn, tokens = tokens, now = now, is_over_stale = is_stale,
  }
end

-- Write a hold: all that `place` changes. KEYS of `place`
local function write_hold(keys, ask, hold)
  local wallet, key, turn, tokens = hold.wallet, hold.key, hold.turn, hold.tokens
  redis.call('HSET', keys[2], 'held', text(wallet.held + hold.amount),
    'open', text(wallet.open + 1), 'ra', text(turn.wallet.arrival),
    'ta', text(tokens.wallet.arrival))
  key.open = key.open + 1
  key.held = key.held + hold.amount
  key.month_held = key.month_held + hold.amount
  key.requests_at = turn.key.arrival
  key.tokens_at = tokens.key.arrival
  write_key(key, hold.epoch)
  write_register(keys[3], hold.epoch, {
    state = 'open', wallet = ask.wallet_id, amount = hold.amount, target = 0, charged = 0,
    units = hold.units, facts = ask.facts, progress_target = 0, progress = '', key = ask.key_id,
    month = ask.month, tokens = tokens.count, key_us = tokens.key.cost,
    wallet_us = tokens.wallet.cost,
  }, not hold.is_over_stale)
  redis.call('ZADD', keys[4], text(math.floor(hold.now / 1000) + ask.lease_ms), ask.request)
end

-- The answer to who is given a hold.
local function tell(hold)
  return with_rates({ 'OK', hold.amount, hold.units, hold.wallet.available - hold.amount },
    tighter(hold.turn.key, hold.turn.wallet), tighter(hold.tokens.key, hold.tokens.wallet))
end

-- place: hold the worst case of a request.
-- KEYS fence wallet hold leases key events drained
-- ARGV request wallet_id known_version fixed_mc unit_mc units_wanted units_least lease_ms facts
--   max_events max_age_ms key_id month fixed_tokens unit_tokens limits
-- The amount is ceil((fixed_mc + unit_mc * units) / 1000) for as many units as are affordable,
-- between units_least and units_wanted; the tokens are fixed_tokens + unit_tokens * units, and no
-- more than a whole minute's. `limits` are those of `LIMITS`.
-- Returns OK held units available RATES | RECOVERING | BACKLOGGED | MISSING | STALE | FROZEN
--   | IN_DEBT | INSUFFICIENT available | CAPPED is_monthly cap left | TOO_LARGE limit tokens
--   | BUSY is_wallets limit RATES | LIMITED is_wallets limit retry_after_ms RATES
--   | EXHAUSTED is_wallets limit retry_after_ms RATES | ENDED
-- RATES is limit left reset_ms of requests, then of tokens: the key's or the wallet's, whichever
-- has less left. LIMITED is about requests per minute, EXHAUSTED about tokens.
local function place(keys, args)
  local ask = read_ask(args)
  local reply, hold = decide(keys, ask)
  if hold then
    write_hold(keys, ask, hold)
    reply = tell(hold)
  end
  return reply
end

-- quote: what `place` would answer now, with the same KEYS and ARGV. Writes nothing.
local function quote(keys, args)
  local reply, hold = decide(keys, read_ask(args))
  return hold and tell(hold) or reply
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
  local epoch = read_epoch(fence)
  if not epoch then
    return { 'RECOVERING' }
  end
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

local function add_event(events, kind, ref, register, delta, settlement)
  redis.call('XADD', events, '*', 'kind', kind, 'ref', ref, 'wallet', register.wallet,
    'delta', text(delta), 'charged', text(register.charged), 'target', text(register.target),
    'held', text(register.amount), 'facts', register.facts, 'settlement', settlement,
    'key', register.key, 'month', register.month)
end

-- An open hold is one no more: its wallet and its key let go of it.
local function let_go(wallet, key, register)
  wallet.held = wallet.held - register.amount
  wallet.open = wallet.open - 1
  key.held = key.held - register.amount
  key.month_held = key.month_held - register.amount
  key.open = key.open - 1
end

-- Write what an ending changes of a wallet and its key.
local function write_ending(wallet_key, epoch, wallet, key)
  redis.call('HSET', wallet_key, 'held', text(wallet.held), 'pend', text(wallet.pend),
    'open', text(wallet.open), 'ta', text(wallet.tokens_at))
  write_key(key, epoch)
end

-- Raise a register to `target` and record it. Up to the hold a charge is taken in full, because
-- the hold kept it; above the hold only what is available, and the drain writes off the rest.
-- `used` is how many tokens the request used; nil leaves them at what it might have used.
-- KEYS fence wallet hold leases events
local function charge(keys, epoch, request, register, wallet, target, how, used)
  local wallet_key, hold_key, leases, events = keys[2], keys[3], keys[4], keys[5]
  local key = key_of(keys[1], epoch, register)
  target = math.max(target, register.target)
  local due = target - register.charged
  local released, kept = 0, 0
  local was_open = register.state == 'open'
  if was_open then
    released = register.amount
    kept = math.min(due, register.amount)
    let_go(wallet, key, register)
    if used then
      correct_tokens(wallet, key, register, used)
    end
  end
  local delta = kept + math.min(due - kept, math.max(wallet.available + released - kept, 0))
  register.target = target
  register.charged = register.charged + delta
  key.spent = key.spent + delta
  key.month_spent = key.month_spent + delta

  wallet.pend = wallet.pend + delta
  write_ending(wallet_key, epoch, wallet, key)
  redis.call('HSET', hold_key, 's', 'settled', 't', text(target), 'c', text(register.charged))
  if not was_open then
    -- It may be about to be forgotten. What is open has no time to live.
    redis.call('PERSIST', hold_key)
  end
  redis.call('ZREM', leases, request)
  add_event(events, 'usage', request, register, delta, how)
  return { 'OK', register.charged, wallet.available + released - delta }
end

-- settle: end a request at what it cost. charged = max(all targets seen), as far as it is covered.
-- KEYS fence wallet hold leases events  ARGV request target settlement used_tokens
-- Returns OK charged available | RECOVERING | UNKNOWN
local function settle(keys, args)
  local fence, wallet_key, hold_key = keys[1], keys[2], keys[3]
  local request = str(args[1], 'request')
  local target = int(args[2], 'target', 0)
  local settlement = str(args[3], 'settlement')
  local used = int(args[4], 'used_tokens', 0)
  local epoch = read_epoch(fence)
  if not epoch then
    return { 'RECOVERING' }
  end
  local register = read_register(hold_key, epoch)
  local wallet = read_wallet(wallet_key)
  if not register or not wallet then
    return { 'UNKNOWN' }
  end
  if register.state == 'settled' and target <= register.target then
    return { 'OK', register.charged, wallet.available }
  end
  return charge(keys, epoch, request, register, wallet, target, settlement, used)
end

-- settle_late: settle a request that Redis does not know any more, from what PostgreSQL has of it.
-- Its hold is gone, so it is charged what is available. If Redis does know it, this is `settle`.
-- KEYS fence wallet hold leases events
-- ARGV request target settlement used_tokens wallet_id held booked_charged booked_target facts
--   key_id month
-- Returns OK charged available | RECOVERING | MISSING
local function settle_late(keys, args)
  local request = str(args[1], 'request')
  local target = int(args[2], 'target', 0)
  local settlement = str(args[3], 'settlement')
  local used = int(args[4], 'used_tokens', 0)
  local wallet_id = id(args[5], 'wallet_id')
  local held = int(args[6], 'held', 0)
  local booked_charged = int(args[7], 'booked_charged', 0)
  local booked_target = int(args[8], 'booked_target', 0)
  local facts = str(args[9], 'facts')
  local key_id = id(args[10], 'key_id')
  local month = id(args[11], 'month')
  local epoch = read_epoch(keys[1])
  if not epoch then
    return { 'RECOVERING' }
  end
  if not read_wallet(keys[2]) then
    return { 'MISSING' }
  end
  if not read_register(keys[3], epoch) then
    -- void: it holds nothing, and even a settlement at 0 leaves its record.
    write_register(keys[3], epoch, {
      state = 'void', wallet = wallet_id, amount = held, target = booked_target,
      charged = booked_charged, units = 0, facts = facts, progress_target = 0, progress = '',
      key = key_id, month = month, tokens = 0, key_us = 0, wallet_us = 0,
    })
  end
  return settle(keys, { request, args[2], settlement, args[4] })
end

-- Release an open hold without a record. Its tokens were not used.
-- KEYS fence wallet hold leases
local function release(keys, epoch, request, register, wallet)
  local wallet_key, hold_key, leases = keys[2], keys[3], keys[4]
  local key = key_of(keys[1], epoch, register)
  let_go(wallet, key, register)
  correct_tokens(wallet, key, register, 0)
  write_ending(wallet_key, epoch, wallet, key)
  redis.call('HSET', hold_key, 's', 'void')
  redis.call('EXPIRE', hold_key, REGISTER_TTL_S)
  redis.call('ZREM', leases, request)
end

-- void: release a hold whose request no upstream accepted. Leaves no usage record.
-- KEYS fence wallet hold leases  ARGV request
-- Returns OK available | RECOVERING | UNKNOWN | ENDED
local function void(keys, args)
  local fence, wallet_key, hold_key = keys[1], keys[2], keys[3]
  local request = str(args[1], 'request')
  local epoch = read_epoch(fence)
  if not epoch then
    return { 'RECOVERING' }
  end
  local register = read_register(hold_key, epoch)
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
  release(keys, epoch, request, register, wallet)
  return { 'OK', wallet.available + register.amount }
end

-- reap: end a hold whose lease ran out, or whose process died: settle it at its last recorded
-- progress, without one at `settlement_without_progress`, and if that is '-', void it.
-- KEYS fence wallet hold leases events  ARGV request settlement_without_progress is_dead
-- Returns OK charged available | VOID | RECOVERING | UNKNOWN | ENDED | ALIVE
local function reap(keys, args)
  local fence, wallet_key, hold_key, leases = keys[1], keys[2], keys[3], keys[4]
  local request = str(args[1], 'request')
  local settlement = str(args[2], 'settlement_without_progress')
  local is_dead = int(args[3], 'is_dead', 0) == 1
  local epoch = read_epoch(fence)
  if not epoch then
    return { 'RECOVERING' }
  end
  local lease = redis.call('ZSCORE', leases, request)
  if lease and not is_dead and tonumber(lease) > now_ms() then
    return { 'ALIVE' }
  end
  local register = read_register(hold_key, epoch)
  local wallet = read_wallet(wallet_key)
  if not register or not wallet then
    redis.call('ZREM', leases, request)
    return { 'UNKNOWN' }
  end
  if register.state ~= 'open' then
    redis.call('ZREM', leases, request)
    return { register.state == 'void' and 'VOID' or 'ENDED' }
  end
  local target = 0
  if register.progress ~= '' then
    target, settlement = register.progress_target, register.progress
  elseif settlement == '-' then
    release(keys, epoch, request, register, wallet)
    return { 'VOID' }
  end
  return charge(keys, epoch, request, register, wallet, target, settlement)
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
  local wallet_id = id(args[2], 'wallet_id')
  local amount = int(args[3], 'amount', 1)
  local posted = int(args[4], 'posted', -1)
  local credited = int(args[5], 'credited', -1)
  local epoch = read_epoch(fence)
  if not epoch then
    return { 'RECOVERING' }
  end
  local wallet = read_wallet(wallet_key)
  if not wallet then
    return { 'MISSING' }
  end
  local register = read_register(register_key, epoch)
  if register then
    return { 'OK', register.charged, wallet.available }
  end
  local most = amount
  if posted >= 0 then
    local spent_since = posted + (wallet.credited - credited) - (wallet.base - wallet.pend)
    most = amount - math.max(spent_since, 0) - wallet.held
  end
  local taken = math.max(math.min(most, wallet.available), 0)
  register = {
    state = 'settled', wallet = wallet_id, amount = 0, target = amount, charged = taken, units = 0,
    facts = '-', progress_target = 0, progress = '', key = '0', month = '0',
    tokens = 0, key_us = 0, wallet_us = 0,
  }
  redis.call('HINCRBY', wallet_key, 'pend', text(taken))
  write_register(register_key, epoch, register)
  add_event(events, 'debit', ref, register, taken, '-')
  return { 'OK', taken, wallet.available - taken }
end

-- Read an event of the stream as a table of its fields; nil if it is gone.
local function find_event(events, event_id)
  local found = redis.call('XRANGE', events, event_id, event_id)[1]
  if not found then
    return nil
  end
  local fields = {}
  for at = 1, #found[2], 2 do
    fields[found[2][at]] = found[2][at + 1]
  end
  return fields
end

-- ack: PostgreSQL has booked these events; move their amounts from pend into base and drop them.
-- KEYS fence events  ARGV prefix, then event ids
-- Returns OK dropped | RECOVERING
local function ack(keys, args)
  local fence, events = keys[1], keys[2]
  local prefix = str(args[1], 'prefix')
  if not read_epoch(fence) then
    return { 'RECOVERING' }
  end
  local seen, ids, registers, booked = {}, {}, {}, {}
  for index = 2, #args do
    local event = not seen[args[index]] and find_event(events, args[index])
    seen[args[index]] = true
    if event then
      local delta = int(event['delta'], 'delta', 0)
      local wallet = id(event['wallet'], 'wallet')
      ids[#ids + 1] = args[index]
      registers[#registers + 1] = prefix .. ':hold:' .. str(event['ref'], 'ref')
      booked[wallet] = (booked[wallet] or 0) + delta
    end
  end
  for wallet, amount in pairs(booked) do
    redis.call('HINCRBY', prefix .. ':wallet:' .. wallet, 'base', text(0 - amount))
    redis.call('HINCRBY', prefix .. ':wallet:' .. wallet, 'pend', text(0 - amount))
  end
  for index = 1, #ids do
    redis.call('XDEL', events, ids[index])
    redis.call('EXPIRE', registers[index], REGISTER_TTL_S)
  end
  return { 'OK', #ids }
end

-- drained: the drain went through all events just now; what is left can't be booked.
-- KEYS fence drained.  Returns OK | RECOVERING
local function drained(keys, _)
  if not read_epoch(keys[1]) then
    return { 'RECOVERING' }
  end
  redis.call('SET', keys[2], text(now_ms()))
  return { 'OK' }
end

-- backlog: how many events wait, and for how long the drain has left the first of them, ms.
-- KEYS fence events drained.  Returns OK waiting age_ms | RECOVERING
local function backlog(keys, _)
  if not read_epoch(keys[1]) then
    return { 'RECOVERING' }
  end
  local waiting = redis.call('XLEN', keys[2])
  if waiting == 0 then
    return { 'OK', 0, 0 }
  end
  local first = redis.call('XRANGE', keys[2], '-', '+', 'COUNT', 1)[1][1]
  local since = math.max(
    tonumber(string.match(first, '^%d+')), tonumber(redis.call('GET', keys[3]) or '0'))
  return { 'OK', waiting, math.max(now_ms() - since, 0) }
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
  if not read_epoch(fence) then
    return { 'RECOVERING' }
  end
  local wallet = read_wallet(wallet_key)
  if not wallet then
    -- No debit of this wallet was ever decided in this epoch, so all of them are in `posted`.
    redis.call('HSET', wallet_key, 'base', text(posted), 'pend', '0', 'held', '0',
      'credited', text(credited), 'debt', text(debt), 'state', state, 'v', text(version),
      'open', '0')
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
  if not read_epoch(keys[1]) then
    return { 'RECOVERING' }
  end
  local wallet = read_wallet(keys[2])
  if not wallet then
    return { 'MISSING' }
  end
  return { 'OK', wallet.base, wallet.pend, wallet.held, wallet.debt, wallet.v }
end

-- What looks took of a minute, which is no matter of money: it is forgotten once all are back.
local function write_looks(name, bucket)
  if bucket.reset_ms > 0 then
    redis.call('SET', name, text(bucket.arrival), 'PX', text(bucket.reset_ms))
  end
end

-- look: a wallet's figures and a key's, for who knows both up to this version. What holds nothing
-- takes `looks` (0 or 1) of as many a minute as requests that do, out of buckets of its own.
-- KEYS fence wallet key looks_of_key looks_of_wallet  ARGV known_version month looks limits
-- Returns OK base pend held debt version open key_held key_spent month_held month_spent RATES
--   | RECOVERING | MISSING | STALE | LIMITED is_wallets limit retry_after_ms RATES
local function look(keys, args)
  local known = int(args[1], 'known_version', 0)
  local month = id(args[2], 'month')
  local looks = int(args[3], 'looks', 0)
  local limits = read_limits(args[4])
  local epoch = read_epoch(keys[1])
  if not epoch then
    return { 'RECOVERING' }
  end
  local wallet = read_wallet(keys[2])
  if not wallet then
    return { 'MISSING' }
  end
  if known < wallet.v then
    return { 'STALE' }
  end
  local key, now = read_key(keys[3], epoch, month), now_us()
  -- The rates that are told are those of looks.
  key.requests_at = tonumber(redis.call('GET', keys[4]) or '0')
  wallet.requests_at = tonumber(redis.call('GET', keys[5]) or '0')
  local turn, no_turn =
    find_requests(key.requests_at, wallet.requests_at, limits, looks, now)
  if not turn then
    return with_present_rates(no_turn, key, wallet, limits, now)
  end
  write_looks(keys[4], turn.key)
  write_looks(keys[5], turn.wallet)
  key.requests_at, wallet.requests_at = turn.key.arrival, turn.wallet.arrival
  local reply = { 'OK', wallet.base, wallet.pend, wallet.held, wallet.debt, wallet.v, key.open,
    key.held, key.spent, key.month_held, key.month_spent }
  return with_present_rates(reply, key, wallet, limits, now)
end

-- register: a request's register, which PostgreSQL may not have yet. KEYS fence hold
-- Returns OK is_open amount charged target facts | RECOVERING | UNKNOWN
local function find_register(keys, _)
  local epoch = read_epoch(keys[1])
  if not epoch then
    return { 'RECOVERING' }
  end
  local found = read_register(keys[2], epoch)
  if not found then
    return { 'UNKNOWN' }
  end
  local is_open = found.state == 'open' and 1 or 0
  return { 'OK', is_open, found.amount, found.charged, found.target, found.facts }
end

-- holds: the open holds of a shard, and how many leases are of none of them.
-- KEYS fence leases  ARGV prefix
-- Returns OK idle, and then of each hold: wallet_id key_id amount | RECOVERING
local function holds(keys, args)
  local prefix = str(args[1], 'prefix')
  local epoch = read_epoch(keys[1])
  if not epoch then
    return { 'RECOVERING' }
  end
  local reply = { 'OK', 0 }
  for _, request in ipairs(redis.call('ZRANGE', keys[2], 0, -1)) do
    local found = read_register(prefix .. ':hold:' .. request, epoch)
    if found and found.state == 'open' then
      reply[#reply + 1] = tonumber(found.wallet)
      reply[#reply + 1] = tonumber(found.key)
      reply[#reply + 1] = found.amount
    else
      reply[2] = reply[2] + 1
    end
  end
  return reply
end

-- The recoverer's functions. `begin` closes the fence and names the epoch to come; the others
-- answer OVERTAKEN unless that rebuild is still the present one. So neither a rebuild that was
-- overtaken by another nor one that a restart or a flush caught half-way can open a shard.

-- begin: close a shard and start to rebuild it. KEYS fence  ARGV epoch
local function begin(keys, args)
  local epoch = str(args[1], 'epoch')
  epochs[keys[1]] = nil
  rebuilding[keys[1]] = epoch
  redis.call('SET', keys[1], epoch)
  return { 'OK' }
end

-- restore_wallets: set wallets to absolute figures.
-- KEYS fence
-- ARGV epoch prefix, then for each: id base pend held credited debt state version open
-- Returns OK | OVERTAKEN
local function restore_wallets(keys, args)
  local epoch = str(args[1], 'epoch')
  local prefix = str(args[2], 'prefix')
  for at = 3, #args, 9 do
    id(args[at], 'wallet_id')
    int(args[at + 1], 'base', 0)
    int(args[at + 2], 'pend', 0)
    int(args[at + 3], 'held', 0)
    int(args[at + 4], 'credited', 0)
    int(args[at + 5], 'debt', 0)
    str(args[at + 6], 'state')
    int(args[at + 7], 'version', 1)
    int(args[at + 8], 'open', 0)
  end
  if not is_rebuilding(keys[1], epoch) then
    return { 'OVERTAKEN' }
  end
  for at = 3, #args, 9 do
    redis.call('HSET', prefix .. ':wallet:' .. args[at], 'base', args[at + 1],
      'pend', args[at + 2], 'held', args[at + 3], 'credited', args[at + 4],
      'debt', args[at + 5], 'state', args[at + 6], 'v', args[at + 7], 'open', args[at + 8])
  end
  return { 'OK' }
end

-- restore_keys: set what API keys have open, hold and spent to absolute figures. Those of which
-- nothing is told spent nothing: what is there of them is of another epoch.
-- KEYS fence  ARGV epoch prefix, then for each:
--   key_id open held spent months, and for each of its months: month held spent
-- Returns OK | OVERTAKEN
local function restore_keys(keys, args)
  local epoch = str(args[1], 'epoch')
  local prefix = str(args[2], 'prefix')
  local rows = {}
  local at = 3
  while at <= #args do
    local row = {
      prefix .. ':key:' .. id(args[at], 'key_id'), 'e', epoch,
      'open', text(int(args[at + 1], 'open', 0)), 'held', text(int(args[at + 2], 'held', 0)),
      'spent', text(int(args[at + 3], 'spent', 0)),
    }
    local months = int(args[at + 4], 'months', 0)
    at = at + 5
    for _ = 1, months do
      local month = id(args[at], 'month')
      row[#row + 1] = 'held:' .. month
      row[#row + 1] = text(int(args[at + 1], 'month_held', 0))
      row[#row + 1] = 'spent:' .. month
      row[#row + 1] = text(int(args[at + 2], 'month_spent', 0))
      at = at + 3
    end
    rows[#rows + 1] = row
  end
  if not is_rebuilding(keys[1], epoch) then
    return { 'OVERTAKEN' }
  end
  for _, row in ipairs(rows) do
    redis.call('DEL', row[1])
    redis.call('HSET', unpack(row))
  end
  return { 'OK' }
end

-- restore_holds: put back open holds that Redis lost. Leaves the wallets to restore_wallets. A
-- request may have ended since: its end is then the progress that the reaper books.
-- KEYS fence leases  ARGV epoch prefix, then for each:
--   request wallet_id amount charged target progress_target progress lease_ms facts key_id month
-- Returns OK | OVERTAKEN
local function restore_holds(keys, args)
  local epoch = str(args[1], 'epoch')
  local prefix = str(args[2], 'prefix')
  local holds = {}
  for at = 3, #args, 11 do
    holds[#holds + 1] = {
      request = str(args[at], 'request'),
      lease_ms = int(args[at + 7], 'lease_ms', 0),
      register = {
        state = 'open',
        wallet = id(args[at + 1], 'wallet_id'),
        amount = int(args[at + 2], 'amount', 0),
        charged = int(args[at + 3], 'charged', 0),
        target = int(args[at + 4], 'target', 0),
        progress_target = int(args[at + 5], 'progress_target', 0),
        progress = args[at + 6],
        units = 0,
        facts = str(args[at + 8], 'facts'),
        key = id(args[at + 9], 'key_id'),
        month = id(args[at + 10], 'month'),
        tokens = 0,
        key_us = 0,
        wallet_us = 0,
      },
    }
  end
  if not is_rebuilding(keys[1], epoch) then
    return { 'OVERTAKEN' }
  end
  local now = now_ms()
  for _, hold in ipairs(holds) do
    write_register(prefix .. ':hold:' .. hold.request, epoch, hold.register)
    redis.call('ZADD', keys[2], text(now + hold.lease_ms), hold.request)
  end
  return { 'OK' }
end

-- keep: bring registers into the new epoch as they are. Open holds get a new lease, because nobody
-- could renew it meanwhile, and maybe another amount; registers that hold nothing say -1.
-- KEYS fence leases  ARGV epoch prefix lease_ms, then for each: reference amount
-- Returns OK | OVERTAKEN
local function keep(keys, args)
  local epoch = str(args[1], 'epoch')
  local prefix = str(args[2], 'prefix')
  local lease_ms = int(args[3], 'lease_ms', 0)
  for at = 4, #args, 2 do
    str(args[at], 'reference')
    int(args[at + 1], 'amount', -1)
  end
  if not is_rebuilding(keys[1], epoch) then
    return { 'OVERTAKEN' }
  end
  local lease = text(now_ms() + lease_ms)
  for at = 4, #args, 2 do
    local key = prefix .. ':hold:' .. args[at]
    if redis.call('EXISTS', key) == 1 then
      redis.call('HSET', key, 'e', epoch)
      if args[at + 1] ~= '-1' then
        redis.call('HSET', key, 'a', args[at + 1])
        redis.call('ZADD', keys[2], lease, args[at])
      end
    end
  end
  return { 'OK' }
end

-- correct_event: replace an event of which PostgreSQL has booked a part already, or of which it
-- can't book all: its amount, and what its register was charged in total.
-- KEYS fence events hold  ARGV epoch event_id delta charged.  Returns OK | OVERTAKEN
local function correct_event(keys, args)
  local epoch = str(args[1], 'epoch')
  local event_id = str(args[2], 'event_id')
  local delta = int(args[3], 'delta', 0)
  local charged = int(args[4], 'charged', 0)
  if not is_rebuilding(keys[1], epoch) then
    return { 'OVERTAKEN' }
  end
  local event = find_event(keys[2], event_id)
  if event then
    redis.call('XADD', keys[2], '*', 'kind', event['kind'], 'ref', event['ref'],
      'wallet', event['wallet'], 'delta', text(delta), 'charged', text(charged),
      'target', event['target'], 'held', event['held'], 'facts', event['facts'],
      'settlement', event['settlement'], 'key', event['key'] or '0',
      'month', event['month'] or '0')
    redis.call('XDEL', keys[2], event_id)
    if redis.call('EXISTS', keys[3]) == 1 then
      redis.call('HSET', keys[3], 'c', text(charged))
    end
  end
  return { 'OK' }
end

-- forget: drop registers, leases and events that PostgreSQL already has.
-- KEYS fence leases events  ARGV epoch prefix n_events event-ids… refs….  Returns OK | OVERTAKEN
local function forget(keys, args)
  local epoch = str(args[1], 'epoch')
  local prefix = str(args[2], 'prefix')
  local count = int(args[3], 'n_events', 0)
  if not is_rebuilding(keys[1], epoch) then
    return { 'OVERTAKEN' }
  end
  for index = 4, #args do
    if index <= count + 3 then
      redis.call('XDEL', keys[3], args[index])
    else
      redis.call('DEL', prefix .. ':hold:' .. args[index])
      redis.call('ZREM', keys[2], args[index])
    end
  end
  return { 'OK' }
end

-- open: the shard has been rebuilt; let the API use it. KEYS fence  ARGV epoch
-- Returns OK | OVERTAKEN
local function open(keys, args)
  local epoch = str(args[1], 'epoch')
  if read_epoch(keys[1]) == epoch then
    return { 'OK' }
  end
  if not is_rebuilding(keys[1], epoch) then
    return { 'OVERTAKEN' }
  end
  epochs[keys[1]] = epoch
  rebuilding[keys[1]] = nil
  return { 'OK' }
end

-- close: stop serving a shard until it has been rebuilt. KEYS fence
local function close(keys, _)
  epochs[keys[1]] = nil
  rebuilding[keys[1]] = nil
  redis.call('DEL', keys[1])
  return { 'OK' }
end

-- status: OK if the shard is open, RECOVERING if not. KEYS fence
local function status(keys, _)
  return { read_epoch(keys[1]) and 'OK' or 'RECOVERING' }
end

-- A full server admits nothing new, but ends what it has: only that, and the drain, make room. It
-- still tells where one stands, for which it needs some bytes a minute. And it can be closed, as one
-- is that evicts keys.
local function register_ending(name, callback)
  redis.register_function{ function_name = name, callback = callback, flags = { 'allow-oom' } }
end

local function register_reading(name, callback)
  redis.register_function{ function_name = name, callback = callback, flags = { 'no-writes' } }
end

redis.register_function('tp_place', place)
redis.register_function('tp_debit', debit)
redis.register_function('tp_push', push)
register_ending('tp_extend', extend)
register_ending('tp_settle', settle)
register_ending('tp_settle_late', settle_late)
register_ending('tp_void', void)
register_ending('tp_reap', reap)
register_ending('tp_ack', ack)
register_ending('tp_drained', drained)
register_ending('tp_close', close)
register_ending('tp_look', look)
register_reading('tp_quote', quote)
register_reading('tp_read', read)
register_reading('tp_register', find_register)
register_reading('tp_holds', holds)
register_reading('tp_backlog', backlog)
register_reading('tp_status', status)
redis.register_function('tp_begin', begin)
redis.register_function('tp_restore_wallets', restore_wallets)
redis.register_function('tp_restore_keys', restore_keys)
redis.register_function('tp_restore_holds', restore_holds)
redis.register_function('tp_keep', keep)
redis.register_function('tp_correct_event', correct_event)
redis.register_function('tp_forget', forget)
redis.register_function('tp_open', open)
register_reading('tp_version', function() return VERSION end)
