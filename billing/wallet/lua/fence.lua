-- The fence of a shard: while it is closed, the shard serves nothing until it has been rebuilt.

local epochs = {} -- fence -> the epoch in which it was opened
local rebuilding = {} -- fence -> the epoch that the present rebuild will open

-- The epoch of an open shard; nil if its fence is closed.
local function read_epoch(fence)
  local epoch = epochs[fence]
  if epoch ~= nil and redis.call('GET', fence) == epoch then
    return epoch
  end
  return nil
end

-- Whether nothing happened to this shard since the rebuild with this epoch began: no restart, no
-- flush, no other rebuild.
local function is_rebuilding(fence, epoch)
  return rebuilding[fence] == epoch and redis.call('GET', fence) == epoch
end

-- Make a function answer RECOVERING while the fence is closed. It is given the epoch.
local function serving(callback)
  return function(keys, args)
    forget_known()
    local fence = unpack(keys)
    local epoch = read_epoch(fence)
    if not epoch then
      return { 'RECOVERING' }
    end
    return callback(keys, args, epoch)
  end
end

-- Make a function answer OVERTAKEN unless the rebuild that its first argument names is under way.
local function restoring(callback)
  return function(keys, args)
    forget_known()
    local fence, epoch = unpack(keys), unpack(args, 1, 1)
    if not is_rebuilding(fence, str(epoch, 'epoch')) then
      return { 'OVERTAKEN' }
    end
    return callback(keys, args)
  end
end

-- begin: close a shard and start to rebuild it.
-- KEYS fence
-- ARGV epoch
-- Returns OK
local function begin(keys, args)
  local fence = unpack(keys)
  local epoch = unpack(args)
  str(epoch, 'epoch')
  epochs[fence] = nil
  rebuilding[fence] = epoch
  redis.call('SET', fence, epoch)
  return { 'OK' }
end

-- open: the shard has been rebuilt; let the API use it.
-- KEYS fence
-- ARGV epoch
-- Returns OK | OVERTAKEN
local function open_fence(keys, args)
  local fence = unpack(keys)
  local epoch = unpack(args)
  str(epoch, 'epoch')
  if read_epoch(fence) == epoch then
    return { 'OK' }
  end
  if not is_rebuilding(fence, epoch) then
    return { 'OVERTAKEN' }
  end
  epochs[fence] = epoch
  rebuilding[fence] = nil
  return { 'OK' }
end

-- close: stop serving a shard until it has been rebuilt.
-- KEYS fence
-- Returns OK
local function close(keys, _)
  local fence = unpack(keys)
  epochs[fence] = nil
  rebuilding[fence] = nil
  redis.call('DEL', fence)
  return { 'OK' }
end

-- status: whether the shard is open.
-- KEYS fence
-- Returns OK | RECOVERING
local function status(keys, _)
  local fence = unpack(keys)
  return { read_epoch(fence) and 'OK' or 'RECOVERING' }
end

-- epoch: the epoch of an open shard, for a load.
-- KEYS fence
-- Returns OK epoch | RECOVERING
local function tell_epoch(_, _, epoch)
  return { 'OK', epoch }
end
