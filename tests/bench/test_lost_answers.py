"""What is counted of charges for answers that did not arrive."""

import pytest

from bench.chaos.customers import Account
from bench.chaos.evidence import Evidence
from bench.chaos.lost_answers import charged_cut, charged_unanswered
from bench.chaos.sightings import Seen
from tests.bench.evidence import evidence, problems, replay


def sight(outcome: str, request_id: str | None, *, wallet_id: int = 1) -> Evidence:
    """One request of wallet 1, whose receipt is this wallet's."""
    seen = Seen("json", "gpt-4o", 1, outcome=outcome, request_id=request_id)
    given = evidence(seen=seen, receipt={"wallet_id": wallet_id})
    given.accounts = [Account("a@example.org", "", "", 1, api_key_id=4)]
    return given


@pytest.mark.parametrize(
    ("outcome", "request_id", "counted"),
    [
        ("complete", "req_1", (0, 0)),
        ("hung up", "req_1", (0, 0)),
        ("hung up", None, (1, 0)),
        ("lost (ServerDisconnectedError)", None, (1, 0)),
        ("lost (ClientPayloadError)", "req_1", (0, 1)),
        ("cut", "req_1", (0, 1)),
    ],
)
def test_it_counts_charges_for_answers_that_were_lost(
    outcome: str, request_id: str | None, counted: tuple[int, int]
) -> None:
    given = sight(outcome, request_id)

    assert (len(charged_unanswered(given)), len(charged_cut(given))) == counted
    assert problems(given) == []


def test_a_lost_answer_that_was_given_again_is_not_lost() -> None:
    given = sight("lost (ServerDisconnectedError)", None)
    given.seen.append(replay(charged_credits=18))

    assert charged_unanswered(given) == []


def test_the_harness_s_own_probes_are_no_lost_answers() -> None:
    assert charged_unanswered(sight("hung up", None, wallet_id=2)) == []
