-- The functions' names, under which Redis calls them.

-- A server out of memory admits nothing new, but ends the holds that it has: only that and the
-- drain free memory. It still answers inquiries, which take a few bytes a minute, and it can be
-- closed, as is done with a server that evicts keys.
local function register_ending(name, callback)
  redis.register_function{ function_name = name, callback = callback, flags = { 'allow-oom' } }
end

local function register_reading(name, callback)
  redis.register_function{ function_name = name, callback = callback, flags = { 'no-writes' } }
end

redis.register_function('tp_place', place)
redis.register_function('tp_count_request', count_request)
register_ending('tp_extend', extend)
register_ending('tp_settle', settle)
register_ending('tp_settle_late', settle_late)
register_ending('tp_void', void)
register_ending('tp_reap', reap)
redis.register_function('tp_debit', debit)
redis.register_function('tp_push', push)
register_ending('tp_ack', ack)
register_ending('tp_drained', drained)
register_ending('tp_inquire', inquire)
register_reading('tp_quote', quote)
register_reading('tp_read', read)
register_reading('tp_register', find_register)
register_reading('tp_holds', holds)
register_reading('tp_backlog', backlog)
register_reading('tp_status', status)
register_ending('tp_close', close)
redis.register_function('tp_begin', begin)
redis.register_function('tp_restore_wallets', restore_wallets)
redis.register_function('tp_restore_keys', restore_keys)
redis.register_function('tp_restore_holds', restore_holds)
redis.register_function('tp_keep', keep)
redis.register_function('tp_correct_event', correct_event)
redis.register_function('tp_forget', forget)
redis.register_function('tp_open', open_fence)
register_reading('tp_version', function() return VERSION end)
