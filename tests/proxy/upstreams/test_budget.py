"""How many second tries a provider gets."""

from proxy.upstreams.attempts import RetryBudget


def test_an_outage_is_repeated_by_a_fifth_at_most() -> None:
    budget = RetryBudget(reserve=10)
    taken = 0

    for _ in range(1_000):
        budget.note_request([1])
        taken += budget.take(1)

    # The reserve, and a fifth of a thousand.
    assert 200 <= taken <= 210


def test_a_quiet_provider_saves_no_more_than_its_reserve() -> None:
    budget = RetryBudget(reserve=3)

    for _ in range(1_000):
        budget.note_request([1])

    assert [budget.take(1) for _ in range(4)] == [True, True, True, False]


def test_each_provider_has_its_own() -> None:
    budget = RetryBudget(reserve=1)

    assert (budget.take(1), budget.take(1), budget.take(2)) == (True, False, True)


def test_a_standby_never_runs_dry_while_one_request_in_ten_needs_it() -> None:
    budget = RetryBudget(reserve=10)
    refused = 0

    for number in range(10_000):
        budget.note_request([1, 2])
        if number % 10 == 0:
            refused += not budget.take(2)

    assert refused == 0
