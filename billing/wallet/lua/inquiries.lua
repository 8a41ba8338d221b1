-- Inquiries: where a key and its wallet stand, for requests that hold nothing. They have a rate of
-- their own, as high as that of requests that hold, so that asking uses up no request.

-- Write a bucket of inquiries. It decides no money, so it expires once a whole minute's are back.
local function write_inquiries(name, bucket)
  if bucket.reset_ms > 0 then
    redis.call('SET', name, text(bucket.arrival), 'PX', text(bucket.reset_ms))
  end
end

local NOTHING = { open = 0, held = 0, spent = 0, month_held = 0, month_spent = 0 }

-- Append the figures of an API key or a member to a reply.
local function add_figures(reply, figures)
  figures = figures or NOTHING
  for _, name in ipairs({ 'open', 'held', 'spent', 'month_held', 'month_spent' }) do
    reply[#reply + 1] = figures[name]
  end
end

-- inquire: a wallet's figures, a key's and, if they are counted, its member's, if the caller knows
-- them as of `known_version`. Counts as `inquiries` (0 or 1) of the inquiries per minute, and returns
-- their rate.
-- KEYS fence wallet_key api_key inquiries_of_key inquiries_of_wallet
-- ARGV known_version month inquiries limits wallet_id member_id
-- Returns OK base pend held debt version FIGURES FIGURES RATES
--   | RECOVERING | MISSING | STALE | UNCOUNTED | LIMITED is_wallets limit retry_after_ms RATES
-- FIGURES is open held spent month_held month_spent, of the key and of the member.
local function inquire(keys, args, epoch)
  local fence, wallet_key, api_key, inquiries_of_key, inquiries_of_wallet = unpack(keys)
  local known_version, month, inquiries, limits, wallet_id, member_id = unpack(args)
  known_version = int(known_version, 'known_version', 0)
  id(month, 'month')
  inquiries = int(inquiries, 'inquiries', 0)
  limits = read_limits(limits)
  id(wallet_id, 'wallet_id')
  int(member_id, 'member_id', 0)
  local wallet = read_wallet(wallet_key, epoch)
  if not wallet then
    return { 'MISSING' }
  end
  if known_version < wallet.v then
    return { 'STALE' }
  end
  local member = counting[wallet_key] == epoch
    and read_member(fence, epoch, wallet_id, member_id, month)
  if is_uncounted(member, limits) then
    return { 'UNCOUNTED' }
  end
  local key, now = read_key(api_key, epoch, month), now_us()
  key.requests_at = tonumber(redis.call('GET', inquiries_of_key) or '0')
  wallet.requests_at = tonumber(redis.call('GET', inquiries_of_wallet) or '0')
  local admitted, refusal =
    admit_requests(key.requests_at, wallet.requests_at, limits, inquiries, now)
  if not admitted then
    return with_present_rates(refusal, key, wallet, limits, now)
  end
  write_inquiries(inquiries_of_key, admitted.key)
  write_inquiries(inquiries_of_wallet, admitted.wallet)
  key.requests_at, wallet.requests_at = admitted.key.arrival, admitted.wallet.arrival
  local reply = { 'OK', wallet.base, wallet.pend, wallet.held, wallet.debt, wallet.v }
  add_figures(reply, key)
  add_figures(reply, member)
  return with_present_rates(reply, key, wallet, limits, now)
end
