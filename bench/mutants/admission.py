"""Guards of the function library that a request meets first: arguments, limits, the balance."""

from bench.mutants.mutant import MISSING, Mutant, lua

MUTANTS: list[Mutant] = [
    lua(
        "fractions are whole numbers",
        "'^%-?%d+$'",
        "'^%-?[%d.]+$'",
        tests="functions::test_a_wrong_argument_changes_nothing[place]",
    ),
    lua(
        "there is no smallest number",
        "number < (least or 0) or ",
        "",
        tests="functions::test_a_wrong_argument_changes_nothing[place]",
    ),
    lua(
        "there is no largest number",
        " or number > MAX_INTEGER",
        "",
        tests="functions::test_a_wrong_argument_changes_nothing[place]",
    ),
    lua(
        "empty text is text",
        "if type(text) ~= 'string' or text == '' then",
        "if type(text) ~= 'string' then",
        tests="functions::test_a_wrong_argument_changes_nothing[place]",
    ),
    lua(
        "an id may be any text",
        "  int(text, name, 1)\n  return text\n",
        "  return text\n",
        tests="functions::test_a_wrong_argument_changes_nothing[place]",
    ),
    lua(
        "a clock set back limits for an hour",
        "math.min(math.max(arrival, now), now + window)",
        "math.max(arrival, now)",
        tests="functions::test_a_clock_that_was_set_back_limits_nobody_for_longer_than_a_minute",
    ),
    lua(
        "there is no rate limit",
        "local may_pass = wait_us <= 0",
        "local may_pass = true",
        tests="holds::test_requests_beyond_the_limit_wait_for_the_smooth_refill",
    ),
    lua(
        "no number of events is too many",
        "if waiting > max_events then",
        "if false then",
        tests="client::test_nothing_is_admitted_while_too_many_events_wait",
    ),
    lua(
        "no event is too old",
        "  return tonumber(redis.call('GET', drained_at) or '0') < limit\n",
        "  return false\n",
        tests="client::test_nothing_is_admitted_while_an_event_waits_too_long",
    ),
    lua(
        "an event that can't be booked stops its shard",
        "  return tonumber(redis.call('GET', drained_at) or '0') < limit\n",
        "  return true\n",
        tests="client::test_an_event_that_can_not_be_booked_does_not_stop_its_shard",
    ),
    lua(
        "place: least may be above wanted",
        "if ask.least > ask.wanted then",
        "if false then",
        tests="functions::test_a_hold_that_wants_less_than_its_least_is_refused",
    ),
    lua(
        "place: behind a closed fence",
        "serving(place)",
        "place",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[place]",
    ),
    lua(
        "place: without a wallet",
        MISSING,
        "",
        within="decide(",
        tests="functions::test_a_wallet_that_is_not_there_is_missing[place]",
    ),
    lua(
        "place: with an old version",
        "if ask.known < wallet.v then",
        "if false then",
        within="decide(",
        tests="holds::test_a_caller_with_an_older_version_is_told_to_read_anew",
    ),
    lua(
        "place: again after the end",
        "if register.state ~= 'open' then",
        "if false then",
        within="decide(",
        tests="functions::test_what_ended_can_neither_be_placed_nor_renewed",
    ),
    lua(
        "place: again holds again",
        "  if register then\n",
        "  if false then\n",
        within="decide(",
        tests="holds::test_placing_again_finds_the_same_hold",
    ),
    lua(
        "place: on a frozen wallet",
        "if wallet.state ~= 'active' then",
        "if false then",
        tests="holds::test_a_frozen_wallet_places_nothing_until_it_is_unfrozen",
    ),
    lua(
        "place: in debt",
        "if wallet.debt > 0 then",
        "if false then",
        tests="holds::test_a_debt_blocks_even_what_is_available",
    ),
    lua(
        "place: behind a backlog",
        "if is_backlogged(ask.events, ask.drained_at, ask.max_events, ask.max_age_ms) then",
        "if false then",
        tests="client::test_nothing_is_admitted_while_too_many_events_wait",
    ),
    lua(
        "place: beyond the rate",
        "if not of_key.may_pass then",
        "if false then",
        within="admit_requests(",
        tests="holds::test_requests_beyond_the_limit_wait_for_the_smooth_refill",
    ),
    lua(
        "place: beyond the balance",
        "if least_mc > wallet.available * 1000 then",
        "if false then",
        tests="holds::test_a_hold_that_is_not_covered_is_refused_and_changes_nothing",
    ),
    lua(
        "place: not clamped",
        "units = math.min(units, math.floor((credits * 1000 - ask.fixed) / ask.unit))",
        "units = ask.wanted",
        tests="holds::test_a_hold_may_be_clamped_to_what_is_available",
    ),
    lua(
        "place: rounded down",
        "math.ceil((ask.fixed + ask.unit * units) / 1000)",
        "math.floor((ask.fixed + ask.unit * units) / 1000)",
        tests="functions::test_a_hold_is_clamped_to_the_last_credit_and_no_further",
    ),
    lua(
        "quote: it holds",
        "local reply, hold = decide(read_ask(keys, args), epoch)",
        "local ask = read_ask(keys, args)\n  local reply, hold = decide(ask, epoch)\n"
        "  if hold then\n    write_hold(ask, hold)\n  end",
        within="quote(",
        tests="client::test_a_quote_is_what_would_be_placed_and_writes_nothing",
    ),
    lua(
        "place: no lease",
        "  redis.call('ZADD', ask.leases, text(math.floor(hold.now / 1000) + ask.lease_ms),"
        " ask.request)\n",
        "",
        tests="holds::test_only_open_holds_have_a_lease",
    ),
    lua(
        "a stream without events has a first one",
        "  if waiting == 0 then\n    return false\n  end\n",
        "",
        within="is_backlogged(",
        tests="holds::test_placing_again_finds_the_same_hold",
    ),
    lua(
        "an event that came just now is too old",
        "  if first_ms >= limit then\n    return false\n  end\n",
        "",
        within="is_backlogged(",
        tests="functions::test_an_event_that_came_just_now_stops_nobody",
    ),
]
