"""Guards of a request to a model: what each ending is charged, and what its body may cost."""

from bench.mutants.mutant import Mutant

ENDINGS = "proxy/serving/endings.py"
STREAMS = "tests/proxy/serving/test_streams.py::test_it_"

MUTANTS: list[Mutant] = [
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
        "bodies: the fraction of a float is an integer",
        "proxy/parsing/jsonbody.py",
        r"(?<![\d.eE+-])-?\d{19}",
        r"-?\d{19}",
        "tests/proxy/parsing/test_jsonbody.py::test_it_keeps_floats_however_many_digits_they_have",
    ),
]
