#!lua name=tokenproxy_wallet

-- The wallets in Redis: every debit is decided here, atomically.
--
-- available = base - pend - held, and never below zero:
--   base  posted credits, as PostgreSQL booked them
--   pend  debits decided here and not yet acknowledged as booked
--   held  the open holds
--
-- KEYS of one wallet share the hash tag of its shard, {s}. `keys.py` names them, `hashes.py` the
-- fields of the hashes and `events.py` those of the events:
--   {s}:fence          string, the epoch in which this shard was opened, or is being rebuilt
--   {s}:wallet:<id>    hash: a wallet's figures
--   {s}:key:<id>       hash: what an API key spent and holds, and its rates
--   {s}:member:<wallet>:<id>
--                      hash: what a member who has a cap spent and holds on a wallet
--   {s}:hold:<ref>     hash: the register of one request or debit
--   {s}:leases         sorted set: request id -> when its lease runs out, ms
--   {s}:events         stream: debits for the drain to book
--   {s}:loaded         string: the epoch, and up to which wallet's id all are loaded in it
--   {s}:drained        string: when the drain last went through all events, ms
--   {s}:inquiries:…    string: where a key's or a wallet's inquiries per minute stand
--   {s}:handover       hash: what a library tells the one that replaces it, for one transaction
--
-- Rules that keep the figures right:
--   * A failing script is not rolled back, so every argument is validated before the first write.
--   * Every function may be called again with the same arguments; the second call changes nothing.
--   * Nothing answers while the fence is closed. The epoch is known to this server process only: it
--     is gone after a restart or a failover; the fence key is gone after a flush. Either closes it.
--     `names.lua` wraps every function that depends on it in `serving` or `restoring`.
--   * A register belongs to the epoch that wrote it, and so do the hashes of wallets, API keys and
--     members. One that was not brought into the present epoch is outdated, and is not seen: a
--     wallet is MISSING until it is loaded (`loading.lua`).
--   * What a key or a member holds and has open changes together with the wallet's, by the same
--     amount.
--   * Replies are arrays of a status and integers, made with `int`, never with a unary minus.
--
-- The library is the parts of this folder, joined in the order of `library.py`. Each sees the
-- functions of the parts before it. No key or argument is read by its position: a function unpacks
-- them into the names that its header gives, which are those of `arguments.py`.

-- Counts upwards: a worker replaces an older library and leaves a newer one alone.
local VERSION = '10'

-- Another one whenever the fields of a key mean something else: what was written under the old
-- meaning is then rebuilt, and not taken over.
local LAYOUT = '2'
