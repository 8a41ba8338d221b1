-- The calls of a convoy: what each is given, and how they run one after the other. `convoy.lua`
-- says what they share.

-- What a call of a convoy failed with, as a reply of its own.
local function failure(said)
  return redis.error_reply('ERR ' .. tostring(type(said) == 'table' and said.err or said))
end

-- Take a convoy apart into its calls of `functions`. None has run yet if anything of it is wrong.
local function read_calls(keys, args, functions)
  local calls, first_key = {}, 1
  local at = 1
  while at <= #args do
    local name, n_keys, n_arguments = unpack(args, at, at + 2)
    n_keys = int(n_keys, 'n_keys', 1)
    n_arguments = int(n_arguments, 'n_arguments', 0)
    local last_key, last = first_key + n_keys - 1, at + 2 + n_arguments
    if last_key > #keys or last > #args then
      error('ARGUMENT a call is cut off')
    end
    calls[#calls + 1] = {
      callback = functions[name] or error('ARGUMENT a call is of no such function'),
      keys = { unpack(keys, first_key, last_key) },
      args = { unpack(args, at + 3, last) },
    }
    first_key, at = last_key + 1, last + 1
  end
  if first_key <= #keys then
    error('ARGUMENT a key is of no call')
  end
  return calls
end

-- Run the calls of a convoy in their order. Returns the reply of each.
local function run_calls(keys, args, epoch, functions)
  local calls, replies = read_calls(keys, args, functions), {}
  known, changed = {}, {}
  for at, call in ipairs(calls) do
    local is_done, reply = pcall(call.callback, call.keys, call.args, epoch)
    replies[at] = is_done and reply or failure(reply)
  end
  write_changed()
  forget_known()
  return replies
end

-- place_many: holds of one shard. The keys are those of the calls, of which the first is the fence.
-- KEYS fence
-- each name n_keys n_arguments
-- Returns the reply of each | RECOVERING
local function place_many(keys, args, epoch)
  return run_calls(keys, args, epoch, { tp_place = place })
end

-- end_many: endings of one shard, and how far requests got; as `place_many`.
-- KEYS fence
-- each name n_keys n_arguments
-- Returns the reply of each | RECOVERING
local function end_many(keys, args, epoch)
  return run_calls(keys, args, epoch, { tp_extend = extend, tp_settle = settle, tp_void = void })
end
