"""Guards of the function library around the fence and a rebuild."""

from bench.mutants.mutant import OVERTAKEN, Mutant, lua

MUTANTS: list[Mutant] = [
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
        "registers live on from epoch to epoch",
        "if not fields[1] or fields[10] ~= epoch then",
        "if not fields[1] then",
        tests="functions::test_a_hold_of_another_epoch_is_not_known[extend]",
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
]
