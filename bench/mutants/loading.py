"""Guards of what loads a wallet that a rebuild left in PostgreSQL."""

from bench.mutants.mutant import Mutant, lua, service

MUTANTS: list[Mutant] = [
    lua(
        "wallets live on from epoch to epoch",
        "if fields[11] ~= epoch then",
        "if not fields[11] then",
        tests="functions::test_a_wallet_of_another_epoch_is_missing[place]",
    ),
    lua(
        "restore_wallets: into no epoch",
        "'HSET', name, 'e', epoch, 'base', base,",
        "'HSET', name, 'base', base,",
        tests="recovery::test_a_busy_shard_serves_before_the_last_one_is_rebuilt",
    ),
    lua(
        "ack: of a wallet that is not loaded",
        "    if is_loaded(wallet_key, epoch) then\n",
        "    if true then\n",
        within="ack(",
        tests="functions::test_an_acknowledgement_leaves_a_wallet_of_another_epoch_as_it_is",
    ),
    lua(
        "load: behind a closed fence",
        "serving(load_wallets)",
        "load_wallets",
        tests="functions::test_nothing_is_served_behind_a_closed_fence[load]",
    ),
    lua(
        "load: of an earlier epoch",
        "  if epoch ~= present then\n    return { 'OVERTAKEN' }\n  end\n",
        "",
        tests="loads::test_what_was_read_before_another_rebuild_is_not_loaded",
    ),
    lua(
        "load: over what is there",
        "if not is_loaded(wallet_key, epoch) then",
        "if true then",
        within="load_wallets(",
        tests="loads::test_what_was_spent_between_the_reading_and_the_load_stays_spent",
    ),
    lua(
        "load: without what keys spent",
        "'spent', text(api_key.spent)",
        "'spent', '0'",
        tests="loads::test_a_cap_counts_what_was_spent_before_the_load",
    ),
    service(
        "PostgreSQL is read before the epoch is asked for",
        "ledger/loads",
        "    epochs = find_epochs(by_shard)\n"
        "    with transaction.atomic(durable=True):\n"
        "        books = read_books(chain.from_iterable(by_shard[shard] for shard in epochs))\n",
        "    books = read_books(chain.from_iterable(by_shard.values()))\n"
        "    epochs = find_epochs(by_shard)\n",
        tests="loads::test_postgresql_is_read_after_the_epoch_was_asked_for",
    ),
    service(
        "a load within a transaction",
        "ledger/loads",
        "transaction.atomic(durable=True)",
        "transaction.atomic()",
        tests="loads::test_nothing_is_loaded_within_a_transaction",
    ),
    service(
        "a push ends with a load that may be older",
        "ledger/pushes",
        "        replies = get_sync_client().ask_each(calls)\n    each_apart(",
        "    each_apart(",
        tests="loads::test_a_change_binds_though_another_loads_what_was_before_it[freeze]",
    ),
    service(
        "a note of how far all are loaded outlives its epoch",
        "wallet/commands/loading",
        "    return int(upto) if of == epoch else 0\n",
        "    return int(upto or 0)\n",
        tests="loads::test_what_is_noted_of_one_epoch_says_nothing_of_the_next",
    ),
    service(
        "a rebuild leaves out whose events wait",
        "upkeep/rebuild_plan",
        " | {event.wallet_id for event in remains.events}",
        "",
        tests="recovery::test_a_debit_that_waits_to_be_booked_is_not_available_again",
    ),
    service(
        "a rebuild leaves out whose requests run",
        "upkeep/rebuild_plan",
        "    facts = [begun for begun, _ in journalled.open]\n",
        "    facts: list[RequestFacts] = []\n",
        tests="recovery::test_a_busy_shard_serves_before_the_last_one_is_rebuilt",
    ),
    service(
        "a rebuild leaves out whose ends were lost",
        "upkeep/rebuild_plan",
        "    facts += [ended for ended, _ in journalled.ended.values()]\n",
        "",
        tests="recovery::test_an_end_of_which_nothing_else_is_under_way_keeps_what_it_cost",
    ),
    service(
        "audit: what is under way of a wallet that is not loaded",
        "audit/redis_comparison",
        "        if any(sums):\n",
        "        if False:\n",
        tests="loads::test_the_audit_finds_what_is_under_way_of_a_wallet_that_is_not_loaded",
    ),
    service(
        "audit: a wallet that is gone",
        "audit/redis_comparison",
        "        elif self.view.is_all_loaded and row.pushed_version:\n",
        "        elif False:\n",
        tests="loads::test_the_audit_finds_a_wallet_that_is_gone_once_all_were_loaded",
    ),
    service(
        "adoption: a wallet that is not loaded waits for ever",
        "upkeep/adoption",
        "        load_wallets({end.facts.wallet_id for end in some})\n",
        "",
        tests="adoption::test_a_late_journal_is_settled_though_its_wallet_is_not_loaded",
    ),
]
