-- The limits of an API key, of its member and of its wallet, and what they and the balance afford.

-- Ten numbers in one argument, which many requests share. `limits.py` packs them.
local LIMITS = { 'key_rpm', 'key_tpm', 'key_open', 'wallet_rpm', 'wallet_tpm', 'wallet_open',
  'lifetime_cap', 'monthly_cap', 'member_lifetime_cap', 'member_monthly_cap' }
local MOST_KNOWN_LIMITS = 1000
local known_limits, n_known_limits = {}, 0

local function read_limits(packed)
  local limits = known_limits[packed]
  if limits then
    return limits
  end
  limits = {}
  local count = 0
  for number in string.gmatch(packed or '', '[^ ]+') do
    count = count + 1
    local name = LIMITS[count] or error('ARGUMENT limits has too many numbers')
    -- Only a cap may be 0, or -1 for no cap.
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

-- What is left of a cap, never below 0, so that a free request passes a cap that was lowered below
-- what is spent; -1 is no cap.
local function left_of(cap, used)
  return cap < 0 and MAX_INTEGER or math.max(cap - used, 0)
end

-- What the caps of a member afford, in all and this month; everything if they are not counted.
local function left_of_member(member, limits)
  if not member then
    return MAX_INTEGER, MAX_INTEGER
  end
  return left_of(limits.member_lifetime_cap, member.spent + member.held),
    left_of(limits.member_monthly_cap, member.month_spent + member.month_held)
end

-- What the balance and the caps of key and member afford: credits, or a refusal if that is below
-- `least_mc`.
local function find_credits(wallet, key, member, limits, least_mc)
  local of_life = left_of(limits.lifetime_cap, key.spent + key.held)
  local of_month = left_of(limits.monthly_cap, key.month_spent + key.month_held)
  local of_members_life, of_members_month = left_of_member(member, limits)
  if least_mc > wallet.available * 1000 then
    return nil, { 'INSUFFICIENT', wallet.available }
  end
  if least_mc > of_life * 1000 then
    return nil, { 'CAPPED', 0, 0, limits.lifetime_cap, of_life }
  end
  if least_mc > of_month * 1000 then
    return nil, { 'CAPPED', 0, 1, limits.monthly_cap, of_month }
  end
  if least_mc > of_members_life * 1000 then
    return nil, { 'CAPPED', 1, 0, limits.member_lifetime_cap, of_members_life }
  end
  if least_mc > of_members_month * 1000 then
    return nil, { 'CAPPED', 1, 1, limits.member_monthly_cap, of_members_month }
  end
  return math.min(wallet.available, of_life, of_month, of_members_life, of_members_month)
end
