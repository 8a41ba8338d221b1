-- Handing over: how a library that replaces another finds open what the other had open.
--
-- What a library knows of the shards dies with it, so replacing it closes every fence. But if the
-- old one writes down that a shard is open, and is replaced, and the new one reads it, all in one
-- transaction, then nothing can have happened in between: no restart, no flush, no call. `attempt`
-- is a name of this one transaction, so nothing that an earlier one wrote is ever believed.

-- hand_over: write down of an open shard what no key tells. A closed one leaves nothing.
-- KEYS fence handover
-- ARGV attempt prefix
-- Returns OK | RECOVERING
local function hand_over(keys, args, epoch)
  local fence, handover = unpack(keys)
  local attempt, prefix = unpack(args)
  str(attempt, 'attempt')
  str(prefix, 'prefix')
  redis.call('DEL', handover)
  redis.call('HSET', handover, 'attempt', attempt, 'layout', LAYOUT, 'epoch', epoch)
  for wallet_key, counted_in in pairs(counting) do
    if counted_in == epoch and string.sub(wallet_key, 1, #prefix) == prefix then
      redis.call('HSET', handover, wallet_key, 'counting')
    end
  end
  return { 'OK' }
end

-- take_over: open a shard that the library before this one handed over in this transaction.
-- KEYS fence handover
-- ARGV attempt
-- Returns OK | RECOVERING
local function take_over(keys, args)
  local fence, handover = unpack(keys)
  local attempt = unpack(args)
  str(attempt, 'attempt')
  local fields, given = redis.call('HGETALL', handover), {}
  for at = 1, #fields, 2 do
    given[fields[at]] = fields[at + 1]
  end
  redis.call('DEL', handover)
  if given.attempt ~= attempt or given.layout ~= LAYOUT
    or redis.call('GET', fence) ~= given.epoch then
    return { 'RECOVERING' }
  end
  epochs[fence] = given.epoch
  for name, what in pairs(given) do
    if what == 'counting' then
      counting[name] = given.epoch
    end
  end
  return { 'OK' }
end
