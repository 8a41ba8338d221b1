-- Events: what was decided here, for the drain to book. Only its acknowledgement removes them.

local REGISTER_TTL_S = 900 -- how long a booked register still answers a repeated call

local function add_event(events, kind, ref, register, delta, settlement)
  redis.call('XADD', events, '*', 'kind', kind, 'ref', ref, 'wallet', register.wallet,
    'delta', text(delta), 'charged', text(register.charged), 'target', text(register.target),
    'held', text(register.amount), 'facts', register.facts, 'settlement', settlement,
    'key', register.key, 'month', register.month)
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

-- How many events wait, and when the first of them was decided, ms; nil if none waits. A convoy of
-- holds, which add none, reads it once.
local function read_waiting(events)
  local found = known and known[events]
  if not found then
    local waiting = redis.call('XLEN', events)
    local first = waiting > 0 and redis.call('XRANGE', events, '-', '+', 'COUNT', 1)[1][1]
    found = { waiting, first and tonumber(string.match(first, '^%d+')) }
    if known then
      known[events] = found
    end
  end
  return unpack(found)
end

-- Whether the drain is too far behind: too many events wait, or the first of them for too long.
-- An event that can't be booked stays first: its age counts only if the last drain is as old.
local function is_backlogged(events, drained_at, max_events, max_age_ms)
  local waiting, first_ms = read_waiting(events)
  if waiting == 0 then
    return false
  end
  if waiting > max_events then
    return true
  end
  local limit = now_ms() - max_age_ms
  if first_ms >= limit then
    return false
  end
  return tonumber(redis.call('GET', drained_at) or '0') < limit
end

-- ack: PostgreSQL has booked these events; move their amounts from pend into base and drop them. A
-- wallet that is not loaded has no pend, and will be loaded with what PostgreSQL has.
-- KEYS fence events
-- ARGV prefix
-- each event_id
-- Returns OK dropped | RECOVERING
local function ack(keys, args, epoch)
  local fence, events = unpack(keys)
  local prefix = unpack(args, 1, 1)
  str(prefix, 'prefix')
  local seen, ids, registers, booked = {}, {}, {}, {}
  for at = 2, #args do
    local event_id = args[at]
    local event = not seen[event_id] and find_event(events, event_id)
    seen[event_id] = true
    if event then
      local delta = int(event['delta'], 'delta', 0)
      local wallet = id(event['wallet'], 'wallet')
      ids[#ids + 1] = event_id
      registers[#registers + 1] = prefix .. ':hold:' .. str(event['ref'], 'ref')
      booked[wallet] = (booked[wallet] or 0) + delta
    end
  end
  for wallet, amount in pairs(booked) do
    local wallet_key = prefix .. ':wallet:' .. wallet
    if is_loaded(wallet_key, epoch) then
      redis.call('HINCRBY', wallet_key, 'base', text(0 - amount))
      redis.call('HINCRBY', wallet_key, 'pend', text(0 - amount))
    end
  end
  for index = 1, #ids do
    redis.call('XDEL', events, ids[index])
    redis.call('EXPIRE', registers[index], REGISTER_TTL_S)
  end
  return { 'OK', #ids }
end

-- drained: the drain went through all events just now; what is left can't be booked.
-- KEYS fence drained_at
-- Returns OK | RECOVERING
local function drained(keys, _)
  local fence, drained_at = unpack(keys)
  redis.call('SET', drained_at, text(now_ms()))
  return { 'OK' }
end

-- backlog: how many events wait, and for how long the drain has left the first waiting, ms.
-- KEYS fence events drained_at
-- Returns OK waiting age_ms | RECOVERING
local function backlog(keys, _)
  local fence, events, drained_at = unpack(keys)
  local waiting, first_ms = read_waiting(events)
  if waiting == 0 then
    return { 'OK', 0, 0 }
  end
  local since = math.max(first_ms, tonumber(redis.call('GET', drained_at) or '0'))
  return { 'OK', waiting, math.max(now_ms() - since, 0) }
end
