-- Rates: requests and tokens per minute, of an API key and of all keys of its wallet.

local MINUTE_US = 60000000

-- GCRA: `limit` a minute, refilled smoothly; an unused minute may be taken at once. A bucket is its
-- theoretical arrival time, µs; `window` is how far a used-up one is ahead of now, `cost` what is
-- taken, both in µs. Returns whether that may pass, how many are left, in how many ms all are back
-- and when to try again, and the bucket afterwards.
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
  local n = #reply
  reply[n + 1], reply[n + 2], reply[n + 3] = requests.limit, requests.left, requests.reset_ms
  reply[n + 4], reply[n + 5], reply[n + 6] = tokens.limit, tokens.left, tokens.reset_ms
  return reply
end

-- Append where they stand now, taking nothing.
local function with_present_rates(reply, key, wallet, limits, now)
  return with_rates(reply,
    tighter(take_requests(key.requests_at, limits.key_rpm, 0, now),
      take_requests(wallet.requests_at, limits.wallet_rpm, 0, now)),
    tighter(take_tokens(key.tokens_at, limits.key_tpm, 0, now),
      take_tokens(wallet.tokens_at, limits.wallet_tpm, 0, now)))
end

-- What `count` requests take of the key's and of the wallet's minute, or nil and a refusal that
-- lacks the present rates.
local function admit_requests(key_arrival, wallet_arrival, limits, count, now)
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

-- What `tokens` take of the key's and of the wallet's minute, or nil and a refusal that lacks the
-- present rates.
local function admit_tokens(wallet, key, limits, tokens, now)
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

-- Give back what a request did not use of its tokens per minute, or take what it used beyond them.
local function correct_tokens(wallet, key, register, used)
  if register.tokens > 0 then
    local unused = (register.tokens - used) / register.tokens
    key.tokens_at = math.max(key.tokens_at - math.floor(register.key_us * unused), 0)
    wallet.tokens_at = math.max(wallet.tokens_at - math.floor(register.wallet_us * unused), 0)
  end
end
