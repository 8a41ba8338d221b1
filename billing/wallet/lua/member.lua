-- A member: what the API keys of one person hold and were charged on one wallet.
--
-- Most members have no cap, and nothing is counted for them: the figures of their keys tell what
-- they spent. A member is counted from the first time that a cap of theirs is asked for: one call
-- adds up their keys, and every hold and ending changes the sum from then on. For a wallet without
-- such members nothing more is read or written.

-- wallet key -> the epoch in which a member of it began to be counted. It is gone when the epoch is.
local counting = {}

local function member_name(fence, wallet_id, member_id)
  return string.sub(fence, 1, -6) .. 'member:' .. wallet_id .. ':' .. member_id
end

-- The member whom a request counts for, as its facts end; nil if they name none.
local function member_in(facts)
  local member_id = string.match(facts, ',%d+,(%d+)%]$')
  return member_id ~= '0' and member_id or nil
end

-- The figures of a member; nil if they are not counted in this epoch.
local function read_member(fence, epoch, wallet_id, member_id, month)
  local member = read_key(member_name(fence, wallet_id, member_id), epoch, month)
  return not member.is_new and member or nil
end

-- The figures of the member whom a request counts for; nil if they are not counted.
local function find_member(fence, epoch, wallet_key, wallet_id, facts, month)
  local member_id = counting[wallet_key] == epoch and member_in(facts)
  return member_id and read_member(fence, epoch, wallet_id, member_id, month) or nil
end

-- The figures of the member whom a register counts for; nil if they are not counted.
local function member_of(fence, epoch, wallet_key, register)
  return find_member(fence, epoch, wallet_key, register.wallet, register.facts, register.month)
end

-- Whether a request needs a member's figures that are not counted yet. The caller counts them.
local function is_uncounted(member, limits)
  return not member and (limits.member_lifetime_cap >= 0 or limits.member_monthly_cap >= 0)
end

-- Add to a member's figures what one of their API keys has open, holds and spent in this epoch.
local function add_key(sums, name, epoch)
  local fields, of = redis.call('HGETALL', name), {}
  for at = 1, #fields, 2 do
    of[fields[at]] = fields[at + 1]
  end
  for field, value in pairs(of['e'] == epoch and of or {}) do
    if field == 'open' or string.find(field, '^held') or string.find(field, '^spent') then
      sums[field] = (sums[field] or 0) + int(value, field, 0)
    end
  end
end

-- count_member: begin to count a member, by what their API keys have open, hold and spent now, and
-- by what keys spent for them that are not theirs any more. Changes nothing if they are counted.
-- KEYS fence wallet_key
-- ARGV wallet_id member_id known_version n_keys n_months
-- each key_id
-- each month spent
-- Returns OK | RECOVERING | MISSING | STALE
local function count_member(keys, args, epoch)
  local fence, wallet_key = unpack(keys)
  local wallet_id, member_id, known_version, n_keys, n_months = unpack(args, 1, 5)
  local name = member_name(fence, id(wallet_id, 'wallet_id'), id(member_id, 'member_id'))
  known_version = int(known_version, 'known_version', 0)
  n_keys, n_months = int(n_keys, 'n_keys', 0), int(n_months, 'n_months', 0)
  local wallet = read_wallet(wallet_key, epoch)
  if not wallet then
    return { 'MISSING' }
  end
  if known_version < wallet.v then
    return { 'STALE' }
  end
  if redis.call('HGET', name, 'e') == epoch then
    return { 'OK' }
  end
  local prefix = string.sub(fence, 1, -6) .. 'key:'
  local sums = { open = 0, held = 0, spent = 0 }
  local at = 6
  for _ = 1, n_keys do
    add_key(sums, prefix .. id(args[at], 'key_id'), epoch)
    at = at + 1
  end
  for _ = 1, n_months do
    local month, spent = unpack(args, at, at + 1)
    local field = 'spent:' .. id(month, 'month')
    spent = int(spent, 'spent', 0)
    sums.spent = sums.spent + spent
    sums[field] = (sums[field] or 0) + spent
    at = at + 2
  end
  redis.call('DEL', name)
  redis.call('HSET', name, 'e', epoch)
  for field, amount in pairs(sums) do
    redis.call('HSET', name, field, text(amount))
  end
  counting[wallet_key] = epoch
  return { 'OK' }
end
