"""Two thousand requests of all kinds at once, and then the books against what the upstream served.

The load runs once; each test looks at one promise over all of it, request by request. The upstream
emulator is the witness: it keeps its own account under the same request ids.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import pytest

from bench.traffic import FAULTS, Ending, Load, Sent, run
from tests.stack.shop import Customer, Receipt, Shop, Upstream

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

REQUESTS = 2_000
SEED = 20_261_122
# Millicredits for prompt, cached prompt and completion tokens.
RATES = [1_000, 500, 2_000]
# What fails at first is served by the next route.
RELAYS = {
    f"relay-{fault}": [f"fault-{fault}", "gpt-4o"]
    for fault in ("refuse", "500", "503", "429-1", "401", "402-quota", "flaky-1")
}
STEADY = {"steady": ["gpt-4o"]}
# Short enough for a test, long enough for everything but what never comes.
LIMITS = {"first_byte_timeout_s": 2, "idle_timeout_s": 2, "total_timeout_s": 6}
RICH_CREDITS = 10_000_000
# Runs out in the middle.
POOR_CREDITS = 3_000


@dataclass(frozen=True, slots=True)
class Case:
    """One request, seen from all sides. What a side does not know of it is None or empty."""

    request_id: str
    sent: Sent | None
    receipt: Receipt | None
    # One row per attempt.
    served: list[dict[str, Any]]

    @property
    def was_accepted(self) -> bool:
        return any(row["is_accepted"] for row in self.served)

    @property
    def was_refused_in_a_200(self) -> bool:
        """Whether the answer was an error from its beginning, which counts as a refusal."""
        last = self.last
        return last["fault"] == "error-event" and not last["completion_tokens_delivered"]

    @property
    def last(self) -> dict[str, Any]:
        """The attempt whose answer counts."""
        return self.served[-1]


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Everything there is to know of the load, once all of it is booked."""

    sent: list[Sent]
    cases: list[Case]
    customers: list[Customer]
    balances: dict[int, int]
    granted: dict[int, int]

    @property
    def receipts(self) -> list[tuple[Case, Receipt]]:
        return [(case, case.receipt) for case in self.cases if case.receipt is not None]


@pytest.fixture(scope="module")
def aftermath(shop: Shop, upstream: Upstream) -> Aftermath:
    shop.sell(*FAULTS, provider="moody", rates=RATES, limits=LIMITS, routes=RELAYS | STEADY)
    granted = [RICH_CREDITS, RICH_CREDITS, RICH_CREDITS, POOR_CREDITS]
    customers = [shop.open_account(credits=credits) for credits in granted]
    first = upstream.last_number()

    sent = asyncio.run(
        run(
            Load(
                urls=shop.stack.web_urls,
                keys=[customer.secret for customer in customers],
                requests=REQUESTS,
                concurrency=64,
                seed=SEED,
                hang_up=0.15,
                models=["steady", "steady", "steady", "steady", *RELAYS],
                faults=FAULTS,
            )
        )
    )

    balances = {customer.wallet_id: shop.settled(customer) for customer in customers}
    return Aftermath(
        sent=sent,
        cases=list(join(sent, shop.receipts(*customers), upstream.served(after=first))),
        customers=customers,
        balances=balances,
        granted=dict(zip(balances, granted, strict=True)),
    )


def join(sent: list[Sent], receipts: list[Receipt], served: list[dict[str, Any]]) -> Iterator[Case]:
    """Put together what is known of each request. Who left early never learnt an id."""
    sent_by_id = {each.request_id: each for each in sent if each.request_id is not None}
    receipt_by_id = {receipt.request_id: receipt for receipt in receipts}
    served_by_id = defaultdict(list)
    for row in served:
        served_by_id[row["request_id"]].append(row)
    for request_id in sorted({*sent_by_id, *receipt_by_id, *served_by_id}):
        yield Case(
            request_id,
            sent=sent_by_id.get(request_id),
            receipt=receipt_by_id.get(request_id),
            served=served_by_id[request_id],
        )


def cost_credits(receipt: Receipt) -> int:
    """The price of what a receipt lists, rounded up once."""
    prompt, cached_prompt, completion = RATES
    millicredits = (
        (receipt.prompt_tokens - receipt.cached_tokens) * prompt
        + receipt.cached_tokens * cached_prompt
        + receipt.completion_tokens * completion
    )
    return ceil(millicredits / 1_000)


def test_the_load_was_as_mixed_as_it_claims(aftermath: Aftermath) -> None:
    endings = Counter(sent.ending for sent in aftermath.sent)
    outcomes = Counter(receipt.outcome for _, receipt in aftermath.receipts)
    sources = Counter(receipt.source for _, receipt in aftermath.receipts)
    faults = {row["fault"] for case in aftermath.cases for row in case.served}

    assert endings.total() == REQUESTS
    assert all(endings[ending] > 20 for ending in Ending if ending is not Ending.CUT), endings
    assert all(outcomes[name] > 20 for name in ("completed", "broken", "client_left")), outcomes
    assert all(sources[name] > 20 for name in ("reported", "estimated", "parked")), sources
    assert len(faults - {None}) == 22


def test_no_connection_was_cut_without_a_word(aftermath: Aftermath) -> None:
    assert [sent for sent in aftermath.sent if sent.ending is Ending.CUT] == []


def test_the_audit_finds_nothing_at_rest(shop: Shop, aftermath: Aftermath) -> None:
    assert "Every invariant holds" in shop.stack.manage("audit_money", "--at-rest")


def test_every_request_that_the_upstream_accepted_has_a_receipt(aftermath: Aftermath) -> None:
    without = [case for case in aftermath.cases if case.was_accepted and case.receipt is None]

    assert [case for case in without if not case.was_refused_in_a_200] == []


def test_no_receipt_is_for_a_request_that_the_upstream_never_had(aftermath: Aftermath) -> None:
    unaccepted = [case for case, _ in aftermath.receipts if not case.was_accepted]
    unexplained = [case for case in unaccepted if not is_explained(case)]

    assert unexplained == []


def is_explained(case: Case) -> bool:
    """Whether a receipt is right although the upstream counts the request as not accepted."""
    assert case.receipt is not None
    # A 200 is an acceptance for whoever gets it, even if what follows is a web page.
    if case.served and case.last["fault"] == "not-json":
        return case.receipt.charged_credits == 0
    # Who left while the request was on its way to the upstream, or was being read there, can't
    # know that it was dropped; nor can the product, which had sent it.
    return case.receipt.outcome == "client_left"


def test_what_the_upstream_reported_is_what_is_billed(aftermath: Aftermath) -> None:
    reported = [pair for pair in aftermath.receipts if pair[1].source == "reported"]

    assert len(reported) > 1_000
    for case, receipt in reported:
        usage = case.last["usage_reported"]
        assert usage is not None, case
        billed = (receipt.prompt_tokens, receipt.cached_tokens, receipt.completion_tokens)
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        assert billed == (usage["prompt_tokens"], cached, usage["completion_tokens"]), case


def test_what_is_estimated_is_what_the_upstream_delivered(aftermath: Aftermath) -> None:
    whole = [
        (case, receipt)
        for case, receipt in aftermath.receipts
        if receipt.source != "reported" and receipt.outcome == "completed"
    ]

    assert len(whole) > 50
    for case, receipt in whole:
        counted = (receipt.prompt_tokens, receipt.completion_tokens)
        delivered = case.last["completion_tokens_delivered"]
        assert counted == (case.last["prompt_tokens"], delivered), case


def test_nobody_pays_for_more_than_was_delivered(aftermath: Aftermath) -> None:
    for case, receipt in aftermath.receipts:
        delivered = case.last["completion_tokens_delivered"] if case.served else 0
        assert receipt.completion_tokens <= delivered, case


def test_a_stream_that_broke_before_any_text_is_free(aftermath: Aftermath) -> None:
    broken = [
        (case, receipt)
        for case, receipt in aftermath.receipts
        if receipt.outcome == "broken" and not case.last["completion_tokens_delivered"]
    ]

    assert len(broken) > 20
    assert [case for case, receipt in broken if receipt.charged_credits] == []


def test_what_a_client_read_is_paid_for(aftermath: Aftermath) -> None:
    # One event of the emulator has one token.
    read = [pair for pair in aftermath.receipts if pair[0].sent is not None and pair[0].sent.pieces]

    assert len(read) > 500
    for case, receipt in read:
        assert case.sent is not None
        # The one fault that says so gives its answers away: an explicit zero stays zero.
        if case.last["fault"] != "zero-usage":
            assert receipt.completion_tokens >= case.sent.pieces, case


def test_nobody_pays_more_than_was_held(aftermath: Aftermath) -> None:
    for case, receipt in aftermath.receipts:
        assert 0 <= receipt.charged_credits <= receipt.held_credits, case


def test_the_charge_is_the_price_of_what_the_receipt_lists(aftermath: Aftermath) -> None:
    for case, receipt in aftermath.receipts:
        assert receipt.charged_credits == min(cost_credits(receipt), receipt.held_credits), case
        assert receipt.write_off_credits == 0, case


def test_a_client_that_got_an_error_instead_of_an_answer_paid_nothing(aftermath: Aftermath) -> None:
    refused = [case for case in aftermath.cases if case.sent and case.sent.ending is Ending.REFUSED]

    assert len(refused) > 100
    assert [case for case in refused if case.receipt and case.receipt.charged_credits] == []


def test_a_client_was_told_what_its_receipt_says(aftermath: Aftermath) -> None:
    told = 0
    for case in aftermath.cases:
        if case.sent is None or case.sent.ending is not Ending.SERVED:
            continue
        assert case.receipt is not None, case
        assert case.receipt.outcome == "completed", case
        if case.sent.charged_credits is not None:
            assert case.sent.charged_credits == case.receipt.charged_credits, case
            told += 1
        # What can't be true is passed on in an answer of one piece, and not believed.
        if case.sent.usage is not None and case.receipt.source != "parked":
            assert case.sent.usage["completion_tokens"] == case.receipt.completion_tokens, case
            told += 1
    assert told > 1_000


def test_each_balance_is_what_the_receipts_leave_of_the_grant(aftermath: Aftermath) -> None:
    charged: Counter[int] = Counter()
    for _, receipt in aftermath.receipts:
        charged[receipt.wallet_id] += receipt.charged_credits

    for wallet_id, granted in aftermath.granted.items():
        assert aftermath.balances[wallet_id] == granted - charged[wallet_id]
    assert min(aftermath.balances.values()) >= 0


def test_the_poor_customer_alone_ran_out(aftermath: Aftermath) -> None:
    poor = aftermath.customers[-1]
    out_of_balance = {
        sent.order.key for sent in aftermath.sent if sent.error_code == "insufficient_quota"
    }

    assert out_of_balance == {poor.secret}
