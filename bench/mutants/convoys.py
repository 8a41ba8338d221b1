"""Guards of what calls of one turn share in one call of Redis."""

from bench.mutants.mutant import Mutant, lua, service

TWINS = "convoys::test_a_convoy_is_what_its_calls_are_one_by_one"
WRONG = "convoys::test_a_convoy_that_is_no_convoy_runs_none_of_its_calls"

MUTANTS: list[Mutant] = [
    lua(
        "convoys: an error of one is that of all",
        "pcall(call.callback, call.keys, call.args, epoch)",
        "true, call.callback(call.keys, call.args, epoch)",
        tests="convoys::test_an_error_of_one_is_its_own",
    ),
    lua(
        "convoys: figures are changed in memory alone",
        "  write_changed()\n  forget_known()\n",
        "  forget_known()\n",
        tests="convoys::test_holds_of_one_turn_are_decided_in_order_in_one_call",
    ),
    lua(
        "convoys: the next call knows what an interrupted one knew",
        "    forget_known()\n    local fence = unpack(keys)\n",
        "    local fence = unpack(keys)\n",
        tests="convoys::test_a_convoy_that_was_interrupted_leaves_nothing_in_memory",
    ),
    lua(
        "convoys: a key's figures of one month are those of another",
        "    if known[name].month == month then\n",
        "    if true then\n",
        tests=TWINS,
    ),
    lua(
        "convoys: another month's figures are read before the first's are written",
        "    write_changed()\n  end\n  local held_then",
        "  end\n  local held_then",
        tests=TWINS,
    ),
    lua(
        "convoys: every call of a convoy has the whole balance",
        "  wallet.available = wallet.base - wallet.pend - wallet.held\n  write_figures",
        "  write_figures",
        tests="convoys::test_holds_of_one_turn_are_decided_in_order_in_one_call",
    ),
    lua(
        "convoys: a call that is cut off runs",
        "    if last_key > #keys or last > #args then\n",
        "    if false then\n",
        tests=WRONG,
    ),
    lua(
        "convoys: a call of any other function runs",
        "functions[name] or error('ARGUMENT a call is of no such function')",
        "functions[name] or settle",
        tests=WRONG,
    ),
    lua(
        "convoys: a key too many is passed over",
        "  if first_key <= #keys then\n",
        "  if false then\n",
        tests=WRONG,
    ),
    service(
        "convoys: there is no longest one",
        "wallet/convoys",
        "MOST = 16",
        "MOST = 1_000",
        tests="convoys::test_more_than_one_convoy_holds_go_out_in_several",
    ),
    service(
        "convoys: a refusal of all answers none",
        "wallet/convoys",
        "return reply if is_of_each else [reply] * count",
        "return reply",
        tests="convoys::test_a_shard_that_is_closed_refuses_all_of_a_convoy",
    ),
    service(
        "convoys: one that was cancelled keeps the others' answers",
        "wallet/connection",
        "            if not answer.done():\n                answer.set_result(own)\n",
        "            answer.set_result(own)\n",
        tests="convoys::test_one_that_is_cancelled_is_voided_and_the_others_stand",
    ),
    service(
        "convoys: what is no command fails those beside it",
        "wallet/connection",
        "        if len(queued) == 1:\n",
        "        if True:\n",
        tests="convoys::test_what_is_no_command_fails_alone",
    ),
]
