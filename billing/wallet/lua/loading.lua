-- Loading: a wallet is taken over from PostgreSQL when it is first asked for.
--
-- A rebuild brings into its epoch the wallets of which something was under way: events that are not
-- booked, open holds, ends that Redis forgot. Of all others PostgreSQL has everything, and nothing
-- can be decided of them before they are loaded. So what PostgreSQL says of their debits after the
-- shard was opened stays true until then. A caller asks for the epoch (`tp_epoch`), reads
-- PostgreSQL, and loads into that epoch alone: what was read before a later rebuild is refused.

-- Take a load apart. Nothing has been written yet if anything of it is wrong.
local function read_load(args)
  local epoch, prefix, upto = unpack(args, 1, 3)
  str(epoch, 'epoch')
  str(prefix, 'prefix')
  upto = int(upto, 'upto', 0)
  local rows = {}
  local at = 4
  while at <= #args do
    local wallet_id, posted, credited, debt, state, version, months = unpack(args, at, at + 6)
    local row = {
      wallet_id = id(wallet_id, 'wallet_id'), posted = whole(posted, 'posted'),
      credited = whole(credited, 'credited'), debt = whole(debt, 'debt'),
      state = str(state, 'state'), version = id(version, 'version'), api_keys = {},
    }
    months = int(months, 'months', 0)
    at = at + 7
    for _ = 1, months do
      local key_id, month, month_spent = unpack(args, at, at + 2)
      id(key_id, 'key_id')
      month_spent = int(month_spent, 'month_spent', 0)
      local api_key = row.api_keys[key_id] or { spent = 0, fields = {} }
      row.api_keys[key_id] = api_key
      api_key.spent = api_key.spent + month_spent
      api_key.fields[#api_key.fields + 1] = 'spent:' .. id(month, 'month')
      api_key.fields[#api_key.fields + 1] = text(month_spent)
      at = at + 3
    end
    rows[#rows + 1] = row
  end
  return epoch, prefix, upto, rows
end

-- load: bring wallets with what their API keys spent into the present epoch, except those that are
-- there. `upto` notes that all wallets of the shard up to this id are; 0 notes nothing. A key
-- without a row spent nothing: its hash, if there is one, is of another epoch.
-- KEYS fence loaded_upto
-- ARGV epoch prefix upto
-- each wallet_id posted credited debt state version months
-- each key_id month month_spent
-- Returns OK loaded | RECOVERING | OVERTAKEN
local function load_wallets(keys, args, present)
  local fence, loaded_upto = unpack(keys)
  local epoch, prefix, upto, rows = read_load(args)
  local loaded = 0
  if epoch ~= present then
    return { 'OVERTAKEN' }
  end
  for _, row in ipairs(rows) do
    local wallet_key = prefix .. ':wallet:' .. row.wallet_id
    if not is_loaded(wallet_key, epoch) then
      for key_id, api_key in pairs(row.api_keys) do
        local name = prefix .. ':key:' .. key_id
        redis.call('DEL', name)
        redis.call('HSET', name, 'e', epoch, 'open', '0', 'held', '0',
          'spent', text(api_key.spent), unpack(api_key.fields))
      end
      redis.call('HSET', wallet_key, 'e', epoch, 'base', row.posted, 'pend', '0', 'held', '0',
        'open', '0', 'credited', row.credited, 'debt', row.debt, 'state', row.state,
        'v', row.version)
      loaded = loaded + 1
    end
  end
  if upto > 0 then
    redis.call('SET', loaded_upto, epoch .. ' ' .. text(upto))
  end
  return { 'OK', loaded }
end
