-- Debits that are not usage.

-- debit: take what is available of an amount that is not usage (clawback, expiry, adjustment).
-- KEYS fence wallet_key hold_key events
-- ARGV ref wallet_id amount posted credited
-- An expiry gives `posted` and `credited` as PostgreSQL had them when it read what is left of the
-- lot (-1 for other debits). What was spent since, and what is held, comes out of that lot first,
-- so only the rest of it expires.
-- Returns OK taken available | RECOVERING | MISSING
local function debit(keys, args, epoch)
  local fence, wallet_key, hold_key, events = unpack(keys)
  local ref, wallet_id, amount, posted, credited = unpack(args)
  str(ref, 'ref')
  id(wallet_id, 'wallet_id')
  amount = int(amount, 'amount', 1)
  posted = int(posted, 'posted', -1)
  credited = int(credited, 'credited', -1)
  local wallet = read_wallet(wallet_key, epoch)
  if not wallet then
    return { 'MISSING' }
  end
  local register = read_register(hold_key, epoch)
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
  write_register(hold_key, epoch, register)
  add_event(events, 'debit', ref, register, taken, '-')
  return { 'OK', taken, wallet.available - taken }
end
