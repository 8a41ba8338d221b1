# ruff: noqa: E501 - exact texts of other files
"""The bugs that the design's prototype had."""

from bench.mutants.mutant import Mutant, lua, service

MUTANTS: list[Mutant] = [
    lua(
        "known: -0 is sent and refused",
        "'pend', text(0 - amount)",
        "'pend', string.format('%.0f', -amount)",
        within="ack(",
        tests="holds::test_a_charge_of_zero_is_a_charge",
    ),
    lua(
        "known: an argument is looked at behind the first write",
        "  str(settlement, 'settlement')\n",
        "",
        within="settle(",
        tests="functions::test_a_wrong_argument_changes_nothing[settle]",
    ),
    lua(
        "known: a charge is clipped by a momentarily low balance",
        "  local delta = kept + math.min(due - kept, math.max(wallet.available, 0))\n",
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
        "upkeep/rebuild_plan",
        "            plan.lost_holds[request_id] = LostHold(facts, amount=held, lease_ms=lease_ms)\n",
        "            continue\n",
        tests="recovery::test_what_was_booked_held_and_settled_is_there_again[flush]",
    ),
    service(
        "known: ends lost with Redis are never billed",
        "upkeep/rebuild_plan",
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
