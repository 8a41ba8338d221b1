"""Guards of a request to a model: what each ending is charged, and what its body may cost."""

from bench.mutants.mutant import Mutant

ENDINGS = "proxy/serving/endings.py"
BOUNDS = "proxy/metering/bounds.py"
HEADROOM_TESTS = "tests/proxy/serving/test_headroom.py::test_"
BOUND_TESTS = "tests/proxy/metering/test_bounds.py::test_it_"
THINKING = "tests/proxy/serving/test_thinking.py::test_it_"
WRITE_OFFS = "tests/billing/ledger/test_write_offs.py::test_"
STREAMS = "tests/proxy/serving/test_streams.py::test_it_"

TRANSPORT = "proxy/upstreams/transport.py"
TRANSPORT_TESTS = "tests/proxy/upstreams/test_transport.py::test_"
LINK = "proxy/http/link.py"
LINK_TESTS = "tests/proxy/http/test_link.py::test_"

MUTANTS: list[Mutant] = [
    Mutant(
        "serving: a call whose answer could not be sent is in no line and no figure",
        ENDINGS,
        "        settled = await settler.finish(call.facts, settlement, begun)\n"
        "        note_end(call, settlement, settled)\n",
        "        settled = await settler.finish(call.facts, settlement, begun)\n"
        "    note_end(call, settlement, settled)\n",
        "tests/proxy/serving/test_request_lines.py::"
        "test_a_call_whose_answer_could_not_be_sent_is_one_line_that_says_what_it_cost",
    ),
    Mutant(
        "upstreams: a connection is used again with a rest of a request in it",
        TRANSPORT,
        "if transport is not None and transport.get_write_buffer_size():",
        "if False:",
        f"{TRANSPORT_TESTS}a_connection_with_an_unsent_rest_is_not_used_again",
    ),
    Mutant(
        "upstreams: a secret writes headers of its own",
        TRANSPORT,
        'if _LINE_END.search(b"".join([value for _, value in headers])):',
        "if False:",
        f"{TRANSPORT_TESTS}a_secret_can_write_no_header_of_its_own",
    ),
    Mutant(
        "links: a large body hides that its client leaves",
        LINK,
        "        self._flow.resume_reading()\n",
        "",
        f"{LINK_TESTS}a_request_learns_that_its_client_leaves_while_it_runs",
    ),
    Mutant(
        "links: a client that had left before is waited for",
        LINK,
        "        if self.is_lost:\n            on_lost()\n",
        "",
        f"{LINK_TESTS}it_is_told_at_once_if_its_client_has_left_already",
    ),
    Mutant(
        "links: the head of an answer without a body is lost",
        LINK,
        "        self.flush()\n        self._transport.close()\n",
        "        self._transport.close()\n",
        f"{LINK_TESTS}a_head_that_is_left_alone_leaves_before_the_connection_is_closed",
    ),
    Mutant(
        "endings: a client that leaves pays for what nobody was sent",
        ENDINGS,
        "Outcome.CLIENT_LEFT: Row(Charge.VOID, ",
        "Outcome.CLIENT_LEFT: Row(Charge.METERED, ",
        f"{STREAMS}sends_nothing_for_a_client_that_has_left_before",
    ),
    Mutant(
        "endings: a client that leaves early pays nothing",
        ENDINGS,
        "Outcome.CLIENT_LEFT: Row(Charge.VOID, Charge.METERED, ",
        "Outcome.CLIENT_LEFT: Row(Charge.VOID, Charge.NOTHING, ",
        f"{STREAMS}charges_the_prompt_if_the_upstream_took_what_its_client_has_left",
    ),
    Mutant(
        "endings: an opening alone is paid for",
        ENDINGS,
        "Outcome.BROKEN: Row(Charge.VOID, Charge.NOTHING, ",
        "Outcome.BROKEN: Row(Charge.VOID, Charge.METERED, ",
        f"{STREAMS}charges_nothing_for_a_stream_that_breaks_before_any_text",
    ),
    Mutant(
        "endings: what a broken stream delivered is free",
        ENDINGS,
        "Outcome.BROKEN: Row(Charge.VOID, Charge.NOTHING, Charge.METERED)",
        "Outcome.BROKEN: Row(Charge.VOID, Charge.NOTHING, Charge.NOTHING)",
        f"{STREAMS}ends_a_broken_stream_with_an_error_and_charges_what_was_delivered",
    ),
    Mutant(
        "endings: a task that is cancelled while it counts settles nothing",
        ENDINGS,
        "        settler.spawn(_end_cancelled(call, settler, outcome, has_run=has_run))\n",
        "",
        "tests/proxy/serving/test_settling.py::"
        "test_it_settles_a_whole_answer_whose_task_is_cancelled_while_it_is_counted",
    ),
    Mutant(
        "calls: what the journal has of one that was refused stays",
        "proxy/serving/serve.py",
        "                if call.is_noted:\n",
        "                if False:\n",
        "tests/proxy/serving/test_settling.py::"
        "test_what_the_journal_has_of_a_call_is_taken_back_when_it_is_refused",
    ),
    Mutant(
        "calls: one that has ended is noted",
        "proxy/serving/inflight.py",
        " or not call.may_have_run:\n",
        ":\n",
        "tests/proxy/serving/test_settling.py::test_a_call_that_has_ended_is_noted_no_more",
    ),
    Mutant(
        "calls: a killed process's requests are free",
        "proxy/serving/inflight.py",
        "        await self.note_asked(now)\n",
        "",
        "tests/proxy/serving/test_killed.py::"
        "test_it_costs_the_prompt_once_the_upstream_has_had_it_for_a_second",
    ),
    Mutant(
        "bodies: the fraction of a float is an integer",
        "proxy/parsing/jsonbody.py",
        r"(?<![\d.eE+-])-?\d{19}",
        r"-?\d{19}",
        "tests/proxy/parsing/test_jsonbody.py::test_it_keeps_floats_however_many_digits_they_have",
    ),
    Mutant(
        "bodies: a field that is sent otherwise is sent as it came",
        "proxy/parsing/jsonbody.py",
        " and value is parsed[name]",
        "",
        "tests/proxy/parsing/test_jsonbody.py::test_a_field_that_is_sent_otherwise_is_written_anew",
    ),
    Mutant(
        "bodies: a message with a field of nobody is plain",
        "proxy/parsing/messages.py",
        "    if message.keys() == _PLAIN.get(role):\n",
        "    if message.keys() >= (_PLAIN.get(role) or {0}):\n",
        "tests/proxy/parsing/test_chat.py::test_plain_messages_need_no_closer_look",
    ),
    Mutant(
        "bodies: a wallet's next large one comes before everybody else's",
        "proxy/serving/fair.py",
        "        if jobs := self._waiting.pop(owner, None):\n",
        "        if jobs := self._waiting.get(owner):\n",
        "tests/proxy/serving/test_fair.py::"
        "test_everybody_elses_next_job_comes_between_two_of_a_wallet",
    ),
    Mutant(
        "holds: numbers to choose from cost no more than their bytes",
        "proxy/metering/functions.py",
        "    return PER_TOOL_LIST + 2 * tools_json",
        "    return PER_TOOL_LIST + 0 * tools_json",
        f"{BOUND_TESTS}holds_for_a_token_of_each_byte_that_the_rule_counts_of_functions",
    ),
    Mutant(
        "holds: a document is held by its size",
        BOUNDS,
        "    if prompt.has_files:\n",
        "    if False:\n",
        f"{BOUND_TESTS}holds_the_context_for_a_document",
    ),
    Mutant(
        "holds: a file of which nobody knows how much is read is held at nothing",
        BOUNDS,
        "        raise ContextUnknown(reader.name)\n",
        "        return 0\n",
        f"{BOUND_TESTS}refuses_a_file_for_a_model_of_which_nobody_said_how_much_it_reads",
    ),
    Mutant(
        "holds: one model's rule for images is all models'",
        "proxy/metering/images.py",
        "    return max(known) if known and len(known) == len(rules) else None\n",
        "    return max(known, default=None)\n",
        "tests/proxy/metering/test_images.py::test_it_knows_no_most_without_a_rule",
    ),
    Mutant(
        "holds: a public name chooses the tokenizer",
        BOUNDS,
        "has_tokenizer=all(_has_encoding(model, encoding_name(name)) for model in models)",
        "has_tokenizer=is_known_model(name)",
        f"{BOUND_TESTS}counts_by_the_tokenizers_of_all_routes",
    ),
    Mutant(
        "holds: a size is held whatever it leaves",
        "proxy/serving/headroom.py",
        "TIMES = 32",
        "TIMES = 1",
        f"{HEADROOM_TESTS}many_at_once_are_let_in_as_if_all_were_counted",
    ),
    Mutant(
        "holds: a size is held beside a cap",
        "proxy/serving/headroom.py",
        " and not key.limits.is_capped",
        "",
        f"{HEADROOM_TESTS}it_counts_where_the_size_may_be_missed",
    ),
    Mutant(
        "holds: a size that does not fit is a refusal",
        "proxy/serving/admission.py",
        "        if not _may_pass_counted(refused):\n",
        "        if True:\n",
        f"{HEADROOM_TESTS}it_counts_what_the_balance_covers_by_its_count_alone",
    ),
    Mutant(
        "holds: a size clamps the answer",
        "proxy/serving/admission.py",
        "hold(replace(worst, units_least=worst.units_wanted))",
        "hold(worst)",
        f"{HEADROOM_TESTS}it_clamps_by_the_count",
    ),
    Mutant(
        "counts: wallets share what is remembered",
        "proxy/metering/counts.py",
        'f"{owner} {encoding.name}"',
        'f"{encoding.name}"',
        "tests/proxy/metering/test_counts.py::"
        "test_it_knows_no_other_wallets_encodings_or_texts_counts",
    ),
    Mutant(
        "counts: texts are remembered without their ends",
        "proxy/metering/counts.py",
        'digest.update(b" %d " % len(raw))',
        "pass",
        "tests/proxy/metering/test_counts.py::"
        "test_it_knows_no_other_wallets_encodings_or_texts_counts",
    ),
    Mutant(
        "holds: no normal form makes a text longer",
        BOUNDS,
        "longer += sum([_normalized_bytes(text) for text in texts])",
        "pass",
        f"{BOUND_TESTS}holds_for_what_others_make_of_a_text",
    ),
    Mutant(
        "calls: what is beyond the hold is told as charged before Redis says so",
        "proxy/serving/call.py",
        "credits <= self.admission.held_credits",
        "True",
        "tests/proxy/serving/test_settling.py::"
        "test_an_answer_beyond_its_hold_says_what_redis_charged",
    ),
    Mutant(
        "calls: a hold whose lease ran out is told as charged before Redis says so",
        "proxy/serving/call.py",
        "is_enough and time.monotonic() < self.held_at + settings.HOLD_LEASE_S",
        "is_enough",
        "tests/proxy/serving/test_settling.py::"
        "test_an_answer_whose_lease_ran_out_waits_for_what_redis_says",
    ),
    Mutant(
        "holds: reasoning beside the maximum is not held",
        "proxy/serving/admission.py",
        "bound_prediction(prompt) + beyond_maximum(request, routes)",
        "bound_prediction(prompt)",
        "tests/proxy/serving/test_true_holds.py::"
        "test_it_holds_what_a_provider_counts_beside_the_maximum",
    ),
    Mutant(
        "holds: an estimate is longer than the client's maximum",
        "proxy/serving/call.py",
        '"max_completion_tokens": self.admission.max_written_tokens',
        '"max_completion_tokens": None',
        "tests/proxy/serving/test_true_holds.py::"
        "test_an_estimate_of_an_answer_is_never_above_the_clients_maximum",
    ),
    Mutant(
        "thinking: an answer that is only read on counts as delivered whole",
        "proxy/serving/relay.py",
        "    if call.reads_on or not meter.is_complete:\n",
        "    if not meter.is_complete:\n",
        f"{THINKING}is_never_charged_more_than_its_hold",
    ),
    Mutant(
        "thinking: an upstream's silence makes leaving free",
        "proxy/serving/call.py",
        "Reason.CLIENT_LEFT if self.reads_on else reason",
        "reason",
        "tests/proxy/serving/test_thinking.py::test_a_silent_upstream_makes_it_no_gift",
    ),
    Mutant(
        "thinking: what comes after its client left is dropped",
        "proxy/serving/relay.py",
        "recorder.is_recording or call.reads_on or not connection.has_left",
        "recorder.is_recording or not connection.has_left",
        f"{THINKING}is_charged_the_usage_that_comes_later",
    ),
    Mutant(
        "write-offs: nobody is told of them",
        "billing/ledger/bookings.py",
        "    file_items(add_losses(batch.lost))\n",
        "    add_losses(batch.lost)\n",
        f"{WRITE_OFFS}it_tells_staff_once_of_a_key_that_costs_more_than_it_pays",
    ),
    Mutant(
        "write-offs: a receipt that is raised counts twice",
        "billing/ledger/bookings.py",
        "lost_credits(record) - lost_before",
        "lost_credits(record)",
        f"{WRITE_OFFS}a_receipt_that_is_raised_counts_what_it_adds",
    ),
    Mutant(
        "write-offs: usage that is not asked for is no loss",
        "billing/ledger/write_offs.py",
        "    return record.write_off_credits + max(0, explain(record).waived_credits)\n",
        "    return record.write_off_credits\n",
        f"{WRITE_OFFS}usage_beyond_the_hold_that_is_not_asked_for_counts_too",
    ),
]
