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

redis.register_function('tp_place', serving(place))
redis.register_function('tp_place_many', serving(place_many))
redis.register_function('tp_count_request', serving(count_request))
redis.register_function('tp_count_member', serving(count_member))
register_ending('tp_extend', serving(extend))
register_ending('tp_settle', serving(settle))
register_ending('tp_settle_late', serving(settle_late))
register_ending('tp_void', serving(void))
register_ending('tp_reap', serving(reap))
redis.register_function('tp_debit', serving(debit))
redis.register_function('tp_push', serving(push))
redis.register_function('tp_load', serving(load_wallets))
register_ending('tp_end_many', serving(end_many))
register_ending('tp_ack', serving(ack))
register_ending('tp_drained', serving(drained))
register_ending('tp_inquire', serving(inquire))
register_reading('tp_quote', serving(quote))
register_reading('tp_read', serving(read))
register_reading('tp_register', serving(find_register))
register_reading('tp_holds', serving(holds))
register_reading('tp_backlog', serving(backlog))
register_reading('tp_epoch', serving(tell_epoch))
register_reading('tp_status', status)
register_ending('tp_close', close)
register_ending('tp_hand_over', serving(hand_over))
register_ending('tp_take_over', take_over)
redis.register_function('tp_begin', begin)
redis.register_function('tp_restore_wallets', restoring(restore_wallets))
redis.register_function('tp_restore_keys', restoring(restore_keys))
redis.register_function('tp_restore_holds', restoring(restore_holds))
redis.register_function('tp_keep', restoring(keep))
redis.register_function('tp_correct_event', restoring(correct_event))
redis.register_function('tp_forget', restoring(forget))
redis.register_function('tp_open', open_fence)
register_reading('tp_version', function() return VERSION end)
