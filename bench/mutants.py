# ruff: noqa: E501 - exact texts of other files
"""What is broken on purpose: exact replacements, each of which some test must notice.

The first are the bugs that the design's prototype had; then every guard of the function library;
then the guards around it. `within` names the text behind which the replacement is looked for.
"""

from dataclasses import dataclass

LUA = "billing/wallet/functions.lua"
SERVICES = "billing/services"
CLOSED = "  if not epoch then\n    return { 'RECOVERING' }\n  end\n"
CLOSED_UNREAD = "  if not read_epoch({}) then\n    return {{ 'RECOVERING' }}\n  end\n"
OVERTAKEN = "  if not is_rebuilding(keys[1], epoch) then\n    return { 'OVERTAKEN' }\n  end\n"
UNKNOWN = "  if not register or not wallet then\n    return { 'UNKNOWN' }\n  end\n"
MISSING = "  if not wallet then\n    return { 'MISSING' }\n  end\n"


@dataclass(frozen=True)
class Mutant:
    """One change for the worse. `tests` are those that must notice, by their files' short names."""

    name: str
    file: str
    old: str
    new: str
    tests: str
    within: str = ""

    @property
    def paths(self) -> list[str]:
        """Where the tests are, as pytest takes it."""
        named = (test.partition("::") for test in self.tests.split())
        return [f"{place(file)}{mark}{test}" for file, mark, test in named]


def place(file: str) -> str:
    """Return the path of a test file of the wallet, or of any other that is given in full."""
    return file if "/" in file else f"tests/billing/wallet/test_{file}.py"


def lua(name: str, old: str, new: str, *, within: str = "", tests: str = "functions") -> Mutant:
    return Mutant(name, LUA, old, new, tests, f"local function {within}" if within else "")


def service(name: str, module: str, old: str, new: str, *, tests: str) -> Mutant:
    return Mutant(name, f"{SERVICES}/{module}.py", old, new, tests)


KNOWN_BUGS = [
    lua(
        "known: -0 is sent and refused",
        "text(0 - released)",
        "string.format('%.0f', -released)",
        tests="holds::test_a_charge_is_the_highest_of_all_targets_in_any_order",
    ),
    lua(
        "known: an argument is looked at behind the first write",
        "  local target = int(args[2], 'target', 0)\n  local settlement = str(args[3], 'settlement')\n"
        "  local epoch",
        "  local target = int(args[2], 'target', 0)\n  local settlement = args[3]\n  local epoch",
        within="settle(",
        tests="functions::test_a_wrong_argument_changes_nothing[settle]",
    ),
    lua(
        "known: a charge is clipped by a momentarily low balance",
        "  local delta = kept + math.min(due - kept, math.max(wallet.available + released - kept, 0))\n",
        "  local delta = math.min(due, math.max(wallet.available, 0))\n",
        tests="holds::test_a_charge_up_to_the_hold_is_taken_in_full_even_if_nothing_else_is_left",
    ),
    lua(
        "known: a replay after the reaper is ignored",
        "if register.state == 'settled' and target <= register.target then",
        "if register.state == 'settled' then",
        tests="reaper::test_a_reaped_hold_that_ends_after_all_is_raised",
    ),
    service(
        "known: open holds lost with Redis are forgotten",
        "rebuild_plan",
        "            plan.lost_holds[request_id] = LostHold(facts, amount=held, lease_ms=lease_ms)\n",
        "            continue\n",
        tests="recovery::test_what_was_booked_held_and_settled_is_there_again[flush]",
    ),
    service(
        "known: ends lost with Redis are never billed",
        "rebuild_plan",
        "    for request_id, (facts, settlement) in ended.items():\n",
        "    for request_id, (facts, settlement) in {}.items():\n",
        tests="recovery::test_what_was_booked_held_and_settled_is_there_again[flush]",
    ),
    lua(
        "known: a restarted server is taken for the one before",
        "  if epoch ~= nil and redis.call('GET', fence) == epoch then\n    return epoch\n  end\n"
        "  return nil\n",
        "  return epoch or redis.call('GET', fence) or nil\n",
        tests="recovery::test_nothing_works_until_the_rebuild_and_everything_after[kill_and_restart]",
    ),
]

GUARDS = [
    lua(
        "a flush does not close the fence",
        " and redis.call('GET', fence) == epoch then",
        " then",
        within="read_epoch(",
        tests="recovery::test_nothing_works_until_the_rebuild_and_everything_after[flush]",
    ),
    lua(
        "a flush does not end a rebuild",
        "rebuilding[fence] == epoch and redis.call('GET', fence) == epoch",
        "rebuilding[fence] == epoch",
        tests="functions::test_a_rebuild_that_a_flush_overtook_may_not_write[wallets]",
    ),
    lua(
        "a restart does not end a rebuild",
        "rebuilding[fence] == epoch and redis.call('GET', fence) == epoch",
        "redis.call('GET', fence) == epoch",
        tests="recovery::test_a_redis_that_is_lost_again_while_it_is_rebuilt_stays_closed[kill_and_restart]",
    ),
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
        "a register keeps an old time to live",
        "  redis.call('DEL', key)\n",
        "",
        within="write_register(",
        tests="functions::test_a_register_of_another_epoch_leaves_no_time_to_live_behind",
    ),
    lua(
        "registers live on from epoch to epoch",
        "if not fields[1] or fields[10] ~= epoch then",
        "if not fields[1] then",
        tests="functions::test_a_hold_of_another_epoch_is_not_known[extend]",
    ),
    lua(
        "a clock set back limits for an hour",
        "  arrival = math.min(arrival, now + interval * limit)\n",
        "",
        tests="functions::test_a_clock_that_was_set_back_limits_nobody_for_longer_than_a_minute",
    ),
    lua(
        "there is no rate limit",
        "if next_arrival - now > interval * limit then",
        "if false then",
        within="check_rate(",
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
        "  return tonumber(redis.call('GET', drained) or '0') < limit\n",
        "  return false\n",
        tests="client::test_nothing_is_admitted_while_an_event_waits_too_long",
    ),
    lua(
        "an event that can't be booked stops its shard",
        "  return tonumber(redis.call('GET', drained) or '0') < limit\n",
        "  return true\n",
        tests="client::test_an_event_that_can_not_be_booked_does_not_stop_its_shard",
    ),
    lua(
        "place: least may be above wanted",
        "if least > wanted then",
        "if false then",
        within="place(",
        tests="functions::test_a_hold_that_wants_less_than_its_least_is_refused",
    ),
    lua(
        "place: behind a closed fence",
        CLOSED,
        "",
        within="place(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[place]",
    ),
    lua(
        "place: without a wallet",
        MISSING,
        "",
        within="place(",
        tests="functions::test_a_wallet_that_is_not_there_is_missing[place]",
    ),
    lua(
        "place: with an old version",
        "if known < wallet.v then",
        "if false then",
        within="place(",
        tests="holds::test_a_caller_with_an_older_version_is_told_to_read_anew",
    ),
    lua(
        "place: again after the end",
        "if register.state ~= 'open' then",
        "if false then",
        within="place(",
        tests="functions::test_what_ended_can_neither_be_placed_nor_renewed",
    ),
    lua(
        "place: again holds again",
        "  if register then\n",
        "  if false then\n",
        within="place(",
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
        "if is_backlogged(keys[6], keys[7], max_events, max_age_ms) then",
        "if false then",
        tests="client::test_nothing_is_admitted_while_too_many_events_wait",
    ),
    lua(
        "place: beyond the rate",
        "if not may_pass then",
        "if false then",
        tests="holds::test_requests_beyond_the_limit_wait_for_the_smooth_refill",
    ),
    lua(
        "place: beyond the balance",
        "if fixed + unit * least > available_mc then",
        "if false then",
        tests="holds::test_a_hold_that_is_not_covered_is_refused_and_changes_nothing",
    ),
    lua(
        "place: not clamped",
        "units = math.min(wanted, math.floor((available_mc - fixed) / unit))",
        "units = wanted",
        tests="holds::test_a_hold_may_be_clamped_to_what_is_available",
    ),
    lua(
        "place: rounded down",
        "math.ceil((fixed + unit * units) / 1000)",
        "math.floor((fixed + unit * units) / 1000)",
        tests="functions::test_a_hold_is_clamped_to_the_last_credit_and_no_further",
    ),
    lua(
        "place: no lease",
        "  redis.call('ZADD', leases, text(now_ms() + lease_ms), request)\n",
        "",
        within="place(",
        tests="holds::test_only_open_holds_have_a_lease",
    ),
    lua(
        "extend: behind a closed fence",
        CLOSED,
        "",
        within="extend(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[extend]",
    ),
    lua(
        "extend: what is unknown",
        "  if not register then\n    return { 'UNKNOWN' }\n  end\n",
        "",
        within="extend(",
        tests="functions::test_a_hold_of_another_epoch_is_not_known[extend]",
    ),
    lua(
        "extend: what ended",
        "if register.state ~= 'open' then",
        "if false then",
        within="extend(",
        tests="functions::test_what_ended_can_neither_be_placed_nor_renewed",
    ),
    lua(
        "extend: progress goes back",
        "if target >= register.progress_target then",
        "if true then",
        tests="functions::test_progress_does_not_go_back",
    ),
    lua(
        "charge: the hold is not released",
        "    released = register.amount\n",
        "",
        within="charge(",
        tests="holds::test_a_settlement_releases_the_hold_and_charges_the_cost",
    ),
    lua(
        "charge: more than is available",
        "math.min(due - kept, math.max(wallet.available + released - kept, 0))",
        "(due - kept)",
        tests="holds::test_a_charge_above_the_hold_takes_only_what_is_available",
    ),
    lua(
        "charge: the register dies before it is booked",
        "  redis.call('PERSIST', hold_key)\n",
        "",
        within="charge(",
        tests="functions::test_a_register_lives_until_its_event_is_booked_and_some_time_after",
    ),
    lua(
        "charge: the lease stays",
        "  redis.call('ZREM', leases, request)\n",
        "",
        within="charge(",
        tests="holds::test_only_open_holds_have_a_lease",
    ),
    lua(
        "charge: no event",
        "  add_event(events, 'usage', request, register, delta, how)\n",
        "",
        tests="drain::test_a_settled_request_becomes_a_receipt_an_entry_and_less_in_the_lot",
    ),
    lua(
        "settle: behind a closed fence",
        CLOSED,
        "",
        within="settle(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[settle]",
    ),
    lua(
        "settle: what is unknown",
        UNKNOWN,
        "",
        within="settle(",
        tests="functions::test_a_hold_of_another_epoch_is_not_known[settle]",
    ),
    lua(
        "settle: a repetition charges",
        "if register.state == 'settled' and target <= register.target then",
        "if false then",
        tests="holds::test_a_settlement_that_is_repeated_takes_nothing_that_came_later",
    ),
    lua(
        "settle_late: behind a closed fence",
        CLOSED,
        "",
        within="settle_late(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[settle_late]",
    ),
    lua(
        "settle_late: without a wallet",
        "if not read_wallet(keys[2]) then",
        "if false then",
        within="settle_late(",
        tests="functions::test_a_wallet_that_is_not_there_is_missing[settle_late]",
    ),
    lua(
        "settle_late: over what is known",
        "if not read_register(keys[3], epoch) then",
        "if true then",
        tests="functions::test_a_late_settlement_of_a_hold_that_is_known_is_a_settlement",
    ),
    lua(
        "void: behind a closed fence",
        CLOSED,
        "",
        within="void(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[void]",
    ),
    lua(
        "void: what is unknown",
        UNKNOWN,
        "",
        within="void(",
        tests="functions::test_a_hold_of_another_epoch_is_not_known[void]",
    ),
    lua(
        "void: again",
        "  if register.state == 'void' then\n",
        "  if false then\n",
        within="void(",
        tests="holds::test_a_void_releases_the_hold_at_no_charge",
    ),
    lua(
        "void: what was settled",
        "if register.state ~= 'open' then",
        "if false then",
        within="void(",
        tests="holds::test_a_void_after_a_settlement_changes_nothing",
    ),
    lua(
        "reap: behind a closed fence",
        CLOSED,
        "",
        within="reap(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[reap]",
    ),
    lua(
        "reap: the living",
        "if lease and not is_dead and tonumber(lease) > now_ms() then",
        "if false then",
        tests="functions::test_a_reap_of_a_living_hold_changes_nothing",
    ),
    lua(
        "reap: what is unknown",
        "if not register or not wallet then",
        "if false then",
        within="reap(",
        tests="functions::test_a_hold_of_another_epoch_is_not_known[reap]",
    ),
    lua(
        "reap: what ended",
        "if register.state ~= 'open' then",
        "if false then",
        within="reap(",
        tests="reaper::test_a_hold_settled_meanwhile_is_charged_once",
    ),
    lua(
        "reap: without regard to progress",
        "if register.progress ~= '' then",
        "if false then",
        tests="reaper::test_a_hold_whose_lease_ran_out_is_charged_its_progress",
    ),
    lua(
        "reap: a receipt for what never started",
        "elseif settlement == '-' then",
        "elseif false then",
        tests="reaper::test_a_hold_that_no_journal_knows_leaves_no_receipt",
    ),
    lua(
        "debit: behind a closed fence",
        CLOSED,
        "",
        within="debit(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[debit]",
    ),
    lua(
        "debit: without a wallet",
        MISSING,
        "",
        within="debit(",
        tests="functions::test_a_wallet_that_is_not_there_is_missing[debit]",
    ),
    lua(
        "debit: decided twice",
        "  if register then\n",
        "  if false then\n",
        within="debit(",
        tests="functions::test_a_debit_is_decided_once",
    ),
    lua(
        "debit: what is held expires",
        "math.max(spent_since, 0) - wallet.held",
        "math.max(spent_since, 0)",
        tests="drain::test_an_expired_lot_goes_but_not_what_is_held_or_just_spent",
    ),
    lua(
        "debit: what was spent expires",
        "amount - math.max(spent_since, 0) - wallet.held",
        "amount - wallet.held",
        tests="drain::test_an_expired_lot_goes_but_not_what_is_held_or_just_spent",
    ),
    lua(
        "debit: more than is available",
        "math.min(most, wallet.available)",
        "most",
        tests="drain::test_a_clawback_takes_what_is_there_and_the_rest_is_debt_that_blocks",
    ),
    lua(
        "ack: behind a closed fence",
        CLOSED_UNREAD.format("fence"),
        "",
        within="ack(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[ack]",
    ),
    lua(
        "ack: an event twice",
        "not seen[args[index]] and find_event",
        "find_event",
        tests="functions::test_an_event_acknowledged_twice_is_booked_once",
    ),
    lua(
        "ack: what is not there",
        "    if event then\n",
        "    if true then\n",
        within="ack(",
        tests="functions::test_an_event_acknowledged_twice_is_booked_once",
    ),
    lua(
        "ack: the register is kept for ever",
        "    redis.call('EXPIRE', registers[index], REGISTER_TTL_S)\n",
        "",
        tests="functions::test_a_register_lives_until_its_event_is_booked_and_some_time_after",
    ),
    lua(
        "drained: behind a closed fence",
        CLOSED_UNREAD.format("keys[1]"),
        "",
        within="drained(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[drained]",
    ),
    lua(
        "backlog: behind a closed fence",
        CLOSED_UNREAD.format("keys[1]"),
        "",
        within="backlog(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[backlog]",
    ),
    lua(
        "push: behind a closed fence",
        CLOSED_UNREAD.format("fence"),
        "",
        within="push(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[push]",
    ),
    lua(
        "push: an older one",
        "elseif version > wallet.v then",
        "else",
        tests="pushes::test_an_older_push_changes_nothing",
    ),
    lua(
        "push: fewer credits",
        "if credited < wallet.credited then",
        "if false then",
        tests="functions::test_a_lower_push_of_credits_is_refused",
    ),
    lua(
        "push: what was spent comes back",
        "text(credited - wallet.credited)",
        "text(posted - wallet.base)",
        tests="pushes::test_a_push_between_a_booking_and_its_acknowledgement_takes_nothing_twice",
    ),
    lua(
        "read: behind a closed fence",
        CLOSED_UNREAD.format("keys[1]"),
        "",
        within="read(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[read]",
    ),
    lua(
        "read: without a wallet",
        MISSING,
        "",
        within="read(",
        tests="functions::test_a_wallet_that_is_not_there_is_missing[read]",
    ),
    lua(
        "restore_wallets: overtaken",
        OVERTAKEN,
        "",
        within="restore_wallets(",
        tests="functions::test_only_the_present_rebuild_may_write[wallets]",
    ),
    lua(
        "restore_wallets: unchecked",
        "    int(args[at + 2], 'pend', 0)\n",
        "",
        tests="functions::test_a_wrong_argument_of_a_rebuild_changes_nothing[wallets]",
    ),
    lua(
        "restore_holds: overtaken",
        OVERTAKEN,
        "",
        within="restore_holds(",
        tests="functions::test_only_the_present_rebuild_may_write[holds]",
    ),
    lua(
        "keep: overtaken",
        OVERTAKEN,
        "",
        within="keep(",
        tests="functions::test_only_the_present_rebuild_may_write[keep]",
    ),
    lua(
        "keep: without a new lease",
        "        redis.call('ZADD', keys[2], lease, args[at])\n",
        "",
        tests="recovery::test_leases_are_renewed_because_nobody_could_do_it_meanwhile",
    ),
    lua(
        "correct_event: overtaken",
        OVERTAKEN,
        "",
        within="correct_event(",
        tests="functions::test_only_the_present_rebuild_may_write[correct_event]",
    ),
    lua(
        "correct_event: twice",
        "  if event then\n",
        "  if event or true then\n",
        within="correct_event(",
        tests="functions::test_what_a_rebuild_puts_back_is_put_back_once",
    ),
    lua(
        "forget: overtaken",
        OVERTAKEN,
        "",
        within="forget(",
        tests="functions::test_only_the_present_rebuild_may_write[forget]",
    ),
    lua(
        "open: overtaken",
        OVERTAKEN,
        "",
        within="open(",
        tests="functions::test_only_the_present_rebuild_may_write[open]",
    ),
    lua(
        "open: a second time",
        "  if read_epoch(keys[1]) == epoch then\n    return { 'OK' }\n  end\n",
        "",
        within="open(",
        tests="functions::test_opening_twice_opens_once",
    ),
    lua(
        "begin: the fence stays open",
        "  epochs[keys[1]] = nil\n",
        "",
        within="begin(",
        tests="functions::test_a_rebuild_that_begins_in_the_epoch_of_the_last_one_closes_the_shard",
    ),
    lua(
        "close: the fence stays open",
        "  epochs[keys[1]] = nil\n  rebuilding[keys[1]] = nil\n  redis.call('DEL', keys[1])\n",
        "",
        within="close(",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[place]",
    ),
    lua(
        "a full server can't settle",
        "register_ending('tp_settle', settle)",
        "redis.register_function('tp_settle', settle)",
        tests="client::test_a_full_server_places_nothing_but_settles",
    ),
    lua(
        "a full server can't acknowledge",
        "register_ending('tp_ack', ack)",
        "redis.register_function('tp_ack', ack)",
        tests="client::test_a_full_server_places_nothing_but_settles",
    ),
]

AROUND = [
    service(
        "a rebuild does not wait for drains",
        "rebuild_barrier",
        '        cursor.execute("SELECT pg_advisory_lock(%s, %s)", BARRIER)\n',
        '        cursor.execute("SELECT 1")\n',
        tests="recovery::test_a_rebuild_waits_for_a_drain_that_is_half_way",
    ),
    service(
        "two rebuild at once",
        "rebuild_barrier",
        "        (is_mine,) = cursor.fetchone()\n",
        "        cursor.fetchone()\n        is_mine = True\n",
        tests="recovery::test_whoever_comes_second_leaves_the_rebuild_to_the_first",
    ),
    service(
        "any Redis will do",
        "recovery",
        "        client.demand_safe_server()\n",
        "",
        tests="recovery::test_a_server_that_could_lose_money_is_not_used[maxmemory-policy-allkeys-lru-noeviction]",
    ),
    service(
        "an overtaken rebuild goes on",
        "recovery",
        '            if reply[0] != b"OK":\n',
        "            if False:\n",
        tests="recovery::test_a_redis_that_is_lost_again_while_it_is_rebuilt_stays_closed[kill_and_restart]",
    ),
    service(
        "holds are put back whole after their end",
        "rebuild_plan",
        "amount=min(held, target)",
        "amount=held",
        tests="recovery::test_an_end_leaves_others_their_holds_even_before_it_is_settled_again",
    ),
    service(
        "what is held may exceed what is there",
        "rebuild_plan",
        "    plan.shrink_to(wallets)\n",
        "",
        tests="recovery::test_available_does_not_fall_below_0_whatever_was_lost",
    ),
    service(
        "booked events count again",
        "rebuild_plan",
        "            is_booked = known is not None and is_covered(",
        "            is_booked = False and is_covered(",
        tests="recovery::test_a_rewound_redis_does_not_bill_again_what_is_booked",
    ),
    service(
        "booked debits count again",
        "rebuild_plan",
        "is_booked, delta = event.reference in booked_debits, event.delta",
        "is_booked, delta = False, event.delta",
        tests="recovery::test_a_debit_that_is_booked_but_not_acknowledged_counts_once",
    ),
    service(
        "a booked part of an event counts again",
        "rebuild_plan",
        "        if delta != event.delta:\n",
        "        if False:\n",
        tests="recovery::test_an_event_of_another_past_counts_only_what_is_not_booked",
    ),
    service(
        "holds without a line are kept",
        "rebuild_plan",
        "    plan.forgotten_holds = [request_id for request_id in leased if request_id not in stay]\n",
        "",
        tests="recovery::test_a_rewound_redis_does_not_bill_again_what_is_booked",
    ),
    service(
        "a request is booked twice",
        "bookings",
        "    record = batch.records.get(event.reference)\n",
        "    record = None\n",
        tests="bookings::test_a_charge_a_raise_and_a_debit_in_one_batch_add_up",
    ),
    service(
        "a debit is booked twice",
        "bookings",
        "    if debit.booked_at is not None:\n",
        "    if False:\n",
        tests="bookings::test_a_debit_counts_its_shortfall_as_debt_once",
    ),
    service(
        "trouble of the database is that of the events",
        "drain",
        "    except (OperationalError, InterfaceError):\n        # Post",
        "    except ZeroDivisionError:\n        # Post",
        tests="bookings::test_trouble_of_the_database_is_not_taken_for_trouble_of_the_events",
    ),
    service(
        "events are acknowledged before they are booked",
        "drain",
        "            booked = _book_batch(found)\n",
        "            booked = [e for e in map(_parse, found) if e]\n",
        tests="drain::test_a_settled_request_becomes_a_receipt_an_entry_and_less_in_the_lot",
    ),
    service(
        "a closed shard is drained",
        "drain",
        "            found = client.read_events(shard, start=start, count=BATCH)\n",
        "            found = client.redis.xrange(keys.events(shard), min=start, count=BATCH)\n",
        tests="recovery::test_a_drain_of_a_closed_shard_books_nothing",
    ),
    service(
        "a debit is decided again after it was booked",
        "debits",
        "Debit.objects.filter(pk__in=debit_ids, booked_at=None)",
        "Debit.objects.filter(pk__in=debit_ids)",
        tests="recovery::test_a_clawback_that_is_booked_is_not_taken_again_after_a_rewind",
    ),
    service(
        "a debit is decided before Redis knows of all credits",
        "debits",
        "    push_due(among=",
        "    (lambda among: None)(among=",
        tests="drain::test_a_credit_whose_push_was_lost_is_no_debt",
    ),
    service(
        "nobody is told of impossible usage",
        "bookings",
        "    file_items([_finding(record) for record in batch.parked.values()])\n",
        "",
        tests="bookings::test_impossible_usage_is_filed_for_a_person_once",
    ),
    service(
        "journals go before they are booked",
        "adoption",
        "    return not to_be_booked\n",
        "    return True\n",
        tests="adoption::test_a_file_stays_until_everything_in_it_is_booked",
    ),
    service(
        "a rotated journal's open requests are given up",
        "adoption",
        "[] if contents.is_rotated else contents.open_requests()",
        "contents.open_requests()",
        tests="adoption::test_a_rotated_file_of_a_living_process_settles_what_ended_in_it_only",
    ),
    service(
        "holds that were to be voided stay",
        "adoption",
        "    _void(client, [contents.held[r][0] for r in contents.voided if r in contents.held])\n",
        "",
        tests="adoption::test_a_hold_that_was_to_be_voided_is_voided_and_leaves_no_receipt",
    ),
    service(
        "a late end is charged from nothing",
        "adoption",
        "        charged=booked.charged_credits,\n        target=booked.target_credits,\n",
        "        charged=0,\n        target=0,\n",
        tests="adoption::test_an_end_after_redis_forgot_the_request_raises_what_is_booked",
    ),
    service(
        "the reaper writes receipts for what never started",
        "reaper",
        "without_progress=ending if hold.request_id in started else None",
        "without_progress=ending",
        tests="reaper::test_a_hold_that_no_journal_knows_leaves_no_receipt",
    ),
    service(
        "debt is not paid",
        "ledger",
        "    paid = _pay_debt(wallet, lot, cause)\n",
        "    paid = 0\n",
        tests="drain::test_the_next_credit_pays_the_debt_first",
    ),
    service(
        "a credit is posted twice",
        "ledger",
        "    if posted is not None:\n",
        "    if False:\n",
        tests="drain::test_posting_the_same_credit_twice_credits_once",
    ),
    Mutant(
        "the journal keeps half a line",
        "billing/journal.py",
        "            os.ftruncate(file, os.fstat(file).st_size - written)\n",
        "",
        "tests/billing/test_journal.py::test_a_full_disk_leaves_no_half_line",
    ),
    Mutant(
        "the journal of a living process is taken",
        "billing/journal.py",
        "            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n            # Another",
        "            # Another",
        "tests/billing/test_journal.py::test_a_living_process_keeps_its_file",
    ),
    Mutant(
        "cancelled commands give their answers to others",
        "billing/wallet/connection.py",
        "reply = await asyncio.shield(answer)",
        "reply = await answer\n"
        "        except asyncio.CancelledError:\n"
        "            protocol._waiting.remove(answer)\n"
        "            raise",
        "connection::test_a_cancelled_task_does_not_shift_the_answers_of_the_others",
    ),
    Mutant(
        "a late answer is given to the next command",
        "billing/wallet/connection.py",
        '            protocol.abort(ConnectionLost("Redis did not answer in time."))\n',
        "",
        "connection::test_a_late_answer_is_not_given_to_the_next_command",
    ),
    Mutant(
        "a hold whose answer was lost stays",
        "billing/wallet/client.py",
        "        except ConnectionLost as error:\n            self._void_later(hold.facts)\n",
        "        except ConnectionLost as error:\n",
        "client::test_a_hold_whose_answer_was_lost_is_voided",
    ),
]

MUTANTS = KNOWN_BUGS + GUARDS + AROUND
