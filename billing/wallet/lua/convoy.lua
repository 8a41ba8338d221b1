-- A convoy: calls that one process asks for in one turn of its event loop, in one call. Each is
-- decided by itself, in order, and has an answer of its own; an error of one is that one's answer.
--
-- While a convoy runs, nobody else does. So a wallet, a key or a member is read by the first call
-- that needs it, changed in memory by each, and written once, after the last. Registers, leases and
-- events are each written by their own call. What can fail of a call comes before its first change.

-- While a convoy runs: the figures that were read, by their names in Redis, and the names of those
-- that were changed, with how each is written.
local known, changed

-- Forget what a convoy knew, which a server may have interrupted. Every call begins with it.
local function forget_known()
  known, changed = nil, nil
end

-- Write figures: at once, or after the last call of the convoy that runs.
local function write_figures(figures, write)
  if known then
    changed[figures] = write
  else
    write(figures)
  end
end

local function write_changed()
  for figures, write in pairs(changed) do
    write(figures)
  end
  changed = {}
end
