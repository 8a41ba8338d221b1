"""What the verdict finds, and what it leaves alone."""

import os

import pytest

from bench.chaos.customers import Account
from bench.chaos.faults import Hit
from bench.chaos.probes import BalanceSampler, Prober
from bench.chaos.sightings import Seen
from bench.chaos.verdict import measure_recoveries
from bench.machine import Moment, Neighbours
from tests.bench.evidence import RECEIPT, SERVED, evidence, problems, replay, whole

ALONE = Neighbours()
CORES = os.cpu_count() or 1
KILL = [Hit("redis kill", "redis", 10.0, "SIGKILL")]


def test_it_acquits_when_all_agree() -> None:
    told = whole(charged_credits=18, usage={"prompt_tokens": 8, "completion_tokens": 10})

    assert problems(evidence(seen=told)) == []


def test_it_finds_an_accepted_request_without_a_receipt() -> None:
    given = evidence()
    given.receipts.clear()

    assert problems(given) == ["no request lost: req_1: accepted (gpt-4o), no receipt"]


def test_an_error_in_a_200_is_no_acceptance() -> None:
    error = {"fault": "error-event", "outcome": "failed", "completion_tokens_delivered": 0}
    given = evidence(served=error)
    given.receipts.clear()

    assert problems(given) == []
    assert problems(evidence(served=error)) == [
        "none charged without delivery: req_1: charged 18, never accepted"
    ]


def test_it_finds_a_whole_answer_without_a_receipt() -> None:
    given = evidence(seen=whole(), served={"is_accepted": False})
    given.receipts.clear()

    assert problems(given) == ["no request lost: req_1: answered whole, no receipt"]


def test_it_finds_a_charge_other_than_the_customer_was_told() -> None:
    assert problems(evidence(seen=whole(charged_credits=17))) == [
        "charged as told: req_1: told 17, charged 18"
    ]


def test_it_finds_a_stream_whose_usage_costs_something_else() -> None:
    told = whole(usage={"prompt_tokens": 8, "completion_tokens": 9})

    [problem] = problems(evidence(seen=told))

    assert problem.startswith("charged as told: req_1: told {'prompt_tokens': 8,")
    assert problem.endswith("receipt is over 18 credits")


def test_it_leaves_impossible_figures_to_staff() -> None:
    told = whole(usage={"prompt_tokens": "8", "completion_tokens": "10"})

    assert problems(evidence(seen=told, receipt={"source": "parked"})) == []


def test_it_finds_a_charge_for_what_no_upstream_accepted() -> None:
    assert problems(evidence(served={"is_accepted": False})) == [
        "none charged without delivery: req_1: charged 18, never accepted"
    ]


def test_it_finds_a_charge_above_what_was_made() -> None:
    assert problems(evidence(served={"completion_tokens_generated": 9})) == [
        "none charged without delivery: req_1: charged 18, what the upstream made costs 17"
    ]


DEAD = {"outcome": "abandoned", "completion_tokens": 0, "charged_credits": 8}


@pytest.mark.parametrize("served", [{"is_accepted": False}, {"prompt_tokens": 0}])
def test_a_dead_process_charges_the_prompt_that_it_had_begun_to_send(
    served: dict[str, object],
) -> None:
    served |= {"completion_tokens_generated": 0}

    assert problems(evidence(receipt=DEAD, served=served)) == []


@pytest.mark.parametrize(
    "receipt", [{"charged_credits": 9}, {"completion_tokens": 1}, {"outcome": "client_left"}]
)
def test_it_finds_more_than_that(receipt: dict[str, object]) -> None:
    served = {"is_accepted": False}

    assert problems(evidence(receipt=DEAD | receipt, served=served)) != []


def refused(request_id: str | None = "req_1") -> Seen:
    return Seen(
        "json",
        "gpt-4o",
        1,
        outcome="refused",
        status=503,
        request_id=request_id,
        error_code="upstream_error",
    )


def test_it_finds_a_charge_for_what_the_customer_was_refused() -> None:
    assert problems(evidence(seen=refused())) == [
        "none charged without delivery: req_1: refused with 503 upstream_error, charged 18"
    ]


def test_a_refusal_may_have_a_receipt_over_nothing() -> None:
    free = {"charged_credits": 0, "target_credits": 0}

    assert problems(evidence(seen=refused(), receipt=free)) == []


def test_a_refusal_without_an_id_is_nobodys() -> None:
    assert problems(evidence(seen=refused(request_id=None))) == []


def test_it_lets_a_request_of_two_tries_cost_what_both_made() -> None:
    given = evidence(served={"completion_tokens_generated": 4})
    given.served.append({**SERVED, "number": 2, "completion_tokens_generated": 6})

    assert problems(given) == []


def test_it_finds_a_payment_that_was_not_credited() -> None:
    assert problems(evidence(order={"entries": 0, "credited": 0})) == [
        "credited exactly once: order-1: paid, 0 entries over 0 of 4000 credits"
    ]


def test_it_finds_credits_that_nobody_paid() -> None:
    assert problems(evidence(session={"payment_status": "unpaid"})) == [
        "credited exactly once: order-1: credited, not paid"
    ]


def test_it_finds_a_refund_that_took_nothing_back() -> None:
    # 4,000 credits for 700 cents: 70 cents are worth 400.
    assert problems(evidence(session={"refunded_cents": 70})) == [
        "refunds are taken back: order-1: took back 0, refunds are worth 400"
    ]


def test_it_passes_on_what_the_audit_finds() -> None:
    given = evidence()
    given.audit_code, given.audit_says = 1, "invariant 1: wallet 3: off by one\n1 findings."

    assert problems(given) == [
        "audit_money --at-rest: exit 1: invariant 1: wallet 3: off by one",
        "audit_money --at-rest: exit 1: 1 findings.",
    ]


def test_it_finds_a_sample_below_zero() -> None:
    given = evidence()
    sampler = BalanceSampler([], [3])
    sampler._take(3, [b"OK", 100, 40, 60, 0, 1])
    sampler._take(3, [b"OK", 100, 41, 60, 0, 1])
    given.overdrawn = sampler.overdrawn

    assert problems(given) == ["never overdrawn: wallet 3: base 100, pend 41, held 60"]


def test_a_service_is_back_with_the_first_answer_to_a_question_asked_afterwards() -> None:
    prober = Prober("web1", "", "", "", served=[(9.9, 10.4), (11.0, 11.5), (12.0, 12.5)])

    [recovery] = measure_recoveries(KILL, [prober], ALONE)

    assert recovery.seconds == 1.5
    assert not recovery.is_late


def test_a_service_that_is_away_for_longer_than_ten_seconds_is_late() -> None:
    prober = Prober("web1", "", "", "", served=[(20.0, 20.5)])

    [recovery] = measure_recoveries(KILL, [prober], ALONE)

    assert recovery.is_late


@pytest.mark.parametrize(
    ("others", "within_s"), [(0.0, 10.0), (0.5, 20.0), (0.8, 50.0), (1.0, 100.0)]
)
def test_what_others_take_of_the_machine_is_not_counted_and_never_all(
    others: float, within_s: float
) -> None:
    busy = Neighbours([Moment(0.0, 0.0, 0.0), Moment(200.0, others * 200 * CORES, 0.0)])
    in_time = Prober("web1", "", "", "", served=[(11.0, 9.9 + within_s)])
    late = Prober("web1", "", "", "", served=[(11.0, 10.1 + within_s)])

    [first] = measure_recoveries(KILL, [in_time], busy)
    [second] = measure_recoveries(KILL, [late], busy)

    assert first.within_s == pytest.approx(within_s)
    assert (first.is_late, second.is_late) == (False, True)


def test_what_we_take_ourselves_is_counted() -> None:
    ours = Neighbours([Moment(0.0, 0.0, 0.0), Moment(200.0, 200.0, 200.0)])

    assert ours.share(10.0, 20.0) == 0.0


def test_the_time_counts_from_the_last_hit_before_the_answer() -> None:
    prober = Prober("web1", "", "", "", served=[(20.0, 20.5)])
    hits = [Hit("redis kill", "redis", 10.0, ""), Hit("worker kill", "worker", 18.0, "")]

    [recovery] = measure_recoveries(hits, [prober], ALONE)

    assert (recovery.seconds, recovery.since_last_s) == (10.5, 2.5)
    assert not recovery.is_late


def test_a_service_that_never_came_back_is_late() -> None:
    [recovery] = measure_recoveries([Hit("web kill", "web1", 10.0, "signal")], [], ALONE)

    assert recovery.is_late


def test_an_answer_of_an_earlier_request_has_that_one_s_receipt() -> None:
    given = evidence(seen=whole(charged_credits=18, digest="a"))
    given.seen.append(replay(charged_credits=18, digest="a"))

    assert problems(given) == []


def test_it_finds_a_replay_that_was_charged_too() -> None:
    given = evidence(seen=replay())
    given.receipts["req_2"] = {**RECEIPT, "charged_credits": 0}

    assert problems(given) == [
        "sent again, charged once: req_2 instead of req_1: has a receipt of its own"
    ]


def test_it_finds_a_replay_that_is_another_answer() -> None:
    given = evidence(seen=whole(digest="a"))
    given.seen.append(replay(digest="b"))

    assert problems(given) == [
        "sent again, charged once: req_2 instead of req_1: is another answer"
    ]


def charged_again(*, hits: list[Hit]) -> list[str]:
    """One Idempotency-Key, sent at 10 and at 20, and charged both times."""
    given = evidence(seen=whole(idempotency_key="k", sent_at=10.0, ended_at=11.0))
    second = whole(idempotency_key="k", sent_at=20.0, ended_at=21.0)
    second.request_id = "req_2"
    given.seen.append(second)
    given.receipts["req_2"] = RECEIPT
    given.served.append({**SERVED, "number": 2, "request_id": "req_2"})
    given.hits = hits
    return problems(given)


@pytest.mark.parametrize(
    "hits",
    [
        [],
        [Hit("web kill", "web1", 15.0, "signal")],
        [Hit("redis flush", "redis", 9.0, "FLUSHALL"), Hit("redis kill", "redis", 22.0, "SIGKILL")],
        [Hit("web freeze", "web1", 32.0, "SIGSTOP for 10 s")],
    ],
)
def test_it_finds_a_key_that_was_charged_twice(hits: list[Hit]) -> None:
    assert charged_again(hits=hits) == [
        "sent again, charged once: key k of wallet 1: is charged as req_1, req_2"
    ]


@pytest.mark.parametrize(
    "hit",
    [
        Hit("redis flush", "redis", 15.0, "FLUSHALL"),
        Hit("web freeze", "web1", 30.0, "SIGSTOP for 10 s"),
    ],
)
def test_a_key_may_be_forgotten_when_what_keeps_it_is_struck(hit: Hit) -> None:
    assert charged_again(hits=[hit]) == []


@pytest.mark.parametrize(("cap", "found"), [(18, []), (17, ["spent 18, its cap is 17"])])
def test_it_finds_a_key_that_spent_more_than_its_cap(cap: int, found: list[str]) -> None:
    given = evidence(receipt={"api_key_id": 4})
    given.accounts = [Account("a@example.org", "", "", 1, api_key_id=4, cap_credits=cap)]

    assert problems(given) == [f"never above a cap: key 4: {problem}" for problem in found]
