-- What all web processes know of upstreams: which circuits are open, which keys to spare.
-- None of it is money; losing it costs seconds.
--
-- KEYS  1 circuits  hash: circuit -> JSON of its state; absent if it has never failed
--       2 marks     hash: key's mark -> "until_ms reason"; the key is spared until then, for one
--                   model alone if the mark ends with "@" and its name
--       3 changes   stream of length 1: an entry for each change that others must see at once
--       4 counts    prefix of a hash per circuit: second/10 -> "ok failed latency_ms_sum"
-- ARGV  1 what to do, 2 the limits as JSON, 3 its arguments as JSON, an array:
--   report  [circuit, ok, failed, in_a_row, is_row_broken, latency_ms, error, guard] …
--           guard: "row" opens after failures in a row, "rate" by their share, "" never
--   probe   circuit, token, lease_ms   take the one try that a circuit allows after its pause
--   ended   circuit, token, verdict, error   verdict: "ok" closes, "failed" opens, "" frees the try
--   spare   mark, for_ms, reason       spare a key, never for a shorter time than now
--   clear   mark or circuit …          forget them, and a key's marks for single models
--   read                               only return the state
-- Returns the state afterwards as JSON, all open circuits and spared keys:
-- {granted, circuits: {circuit: [open_for_ms, probed_for_ms]}, marks: {mark: for_ms}}.
-- `granted` answers `probe`.

local CIRCUITS, MARKS, CHANGES, COUNTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local BUCKET_MS, KEPT_BUCKETS, KEPT_S = 10000, 30, 604800

local what, limits, args = ARGV[1], cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = math.floor(now / BUCKET_MS)

local function load(circuit)
  local packed = redis.call('HGET', CIRCUITS, circuit)
  if packed then
    return cjson.decode(packed)
  end
  return {row = 0, opened = 0, open_until = 0, probe_until = 0, since = 0}
end

local function save(circuit, state)
  redis.call('HSET', CIRCUITS, circuit, cjson.encode(state))
  redis.call('EXPIRE', CIRCUITS, KEPT_S)
end

local function tell()
  redis.call('XADD', CHANGES, 'MAXLEN', '1', '*', 'changed', '1')
  redis.call('EXPIRE', CHANGES, KEPT_S)
end

local function read_bucket(circuit, number)
  local text = redis.call('HGET', COUNTS .. circuit, tostring(number))
  if not text then return 0, 0, 0 end
  local ok, failed, latency = text:match('^(%d+) (%d+) (%d+)$')
  return tonumber(ok), tonumber(failed), tonumber(latency)
end

local function count(circuit, more_ok, more_failed, more_latency)
  local key = COUNTS .. circuit
  local ok, failed, latency = read_bucket(circuit, bucket)
  local text = string.format('%d %d %d', ok + more_ok, failed + more_failed, latency + more_latency)
  redis.call('HSET', key, tostring(bucket), text)
  for number = bucket - KEPT_BUCKETS - 6, bucket - KEPT_BUCKETS do
    redis.call('HDEL', key, tostring(number))
  end
  redis.call('PEXPIRE', key, BUCKET_MS * KEPT_BUCKETS)
end

local function is_failing(circuit, state)
  local ok, failed = 0, 0
  for number = math.max(state.since, bucket - limits.window_buckets + 1), bucket do
    local some_ok, some_failed = read_bucket(circuit, number)
    ok, failed = ok + some_ok, failed + some_failed
  end
  return ok + failed >= limits.least_volume and failed * 100 >= limits.share_percent * (ok + failed)
end

local function open(state)
  local pause = math.min(limits.open_ms * 2 ^ state.opened, limits.longest_open_ms)
  state.opened = state.opened + 1
  state.opened_at = now
  state.open_until = now + pause
  state.probe_until = 0
  state.probed_by = nil
end

local function report(circuit, ok, failed, row, is_row_broken, latency, message, guard)
  count(circuit, ok, failed, latency)
  local state = load(circuit)
  local row_before = state.row
  state.row = (is_row_broken and 0 or state.row) + row
  if failed > 0 then
    state.error, state.error_at = message, now
  elseif row_before == 0 then
    return
  end
  local is_open = state.open_until > 0
  if not is_open and failed > 0 then
    local has_tripped = guard == 'row' and state.row >= limits.row
    if has_tripped or (guard == 'rate' and is_failing(circuit, state)) then
      open(state)
      tell()
    end
  end
  save(circuit, state)
end

local function probe(circuit, token, lease_ms)
  local state = load(circuit)
  if state.open_until == 0 then return true end
  if now < state.open_until or now < state.probe_until then return false end
  state.probe_until, state.probed_by = now + lease_ms, token
  save(circuit, state)
  tell()
  return true
end

local function ended(circuit, token, verdict, message)
  local state = load(circuit)
  -- A success counts however late it comes: an answer in one piece may take longer than the lease,
  -- and the next try may have begun meanwhile. A late failure does not: that try decides.
  if state.open_until == 0 or (state.probed_by ~= token and verdict ~= 'ok') then return end
  state.probe_until, state.probed_by = 0, nil
  if verdict == 'ok' then
    state.open_until, state.opened, state.row = 0, 0, 0
    -- Failures before this success must not open it again.
    state.since = bucket + 1
  elseif verdict == 'failed' then
    state.error, state.error_at = message, now
    open(state)
  end
  save(circuit, state)
  tell()
end

local function spare(mark, for_ms, reason)
  local present = redis.call('HGET', MARKS, mark)
  local until_ms = now + for_ms
  if present and tonumber(present:match('^(%d+)')) >= until_ms then return end
  redis.call('HSET', MARKS, mark, string.format('%d %s', until_ms, reason))
  redis.call('EXPIRE', MARKS, KEPT_S)
  tell()
end

local granted = false
if what == 'report' then
  for _, one in ipairs(args) do report(unpack(one)) end
elseif what == 'probe' then
  granted = probe(unpack(args))
elseif what == 'ended' then
  ended(unpack(args))
elseif what == 'spare' then
  spare(unpack(args))
elseif what == 'clear' then
  local spared = redis.call('HKEYS', MARKS)
  for _, name in ipairs(args) do
    redis.call('HDEL', CIRCUITS, name)
    redis.call('HDEL', MARKS, name)
    -- And a key's marks for single models.
    for _, mark in ipairs(spared) do
      if mark:sub(1, #name + 1) == name .. '@' then redis.call('HDEL', MARKS, mark) end
    end
  end
  tell()
elseif what ~= 'read' then
  return redis.error_reply('unknown deed ' .. what)
end

local function all(key)
  local flat, pairs_of = redis.call('HGETALL', key), {}
  for index = 1, #flat, 2 do pairs_of[flat[index]] = flat[index + 1] end
  return pairs_of
end

-- cjson writes an empty table as {}, which is right for both.
local circuits, marks = {}, {}
for circuit, packed in pairs(all(CIRCUITS)) do
  local state = cjson.decode(packed)
  if state.open_until > 0 then
    circuits[circuit] = {math.max(0, state.open_until - now), math.max(0, state.probe_until - now)}
  end
end
for mark, text in pairs(all(MARKS)) do
  local left = tonumber(text:match('^(%d+)')) - now
  if left > 0 then marks[mark] = left else redis.call('HDEL', MARKS, mark) end
end
return cjson.encode({granted = granted, circuits = circuits, marks = marks})
