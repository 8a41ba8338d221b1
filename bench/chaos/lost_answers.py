"""Charges for answers that did not arrive: unavoidable, so they are counted and not judged."""

from bench.chaos.evidence import Evidence, Row

# How the outcomes of requests begin whose answer did not come, or not to its end.
LOST = ("lost", "unanswered", "cut")


def charged_unanswered(evidence: Evidence) -> list[Row]:
    """Return receipts with a charge of whose request no customer got as much as the headers.

    A process that dies between settlement and sending leaves one, and a customer who gives up on
    an answer and does not ask for it again pays for it.
    """
    answered = {seen.billed_id for seen in evidence.seen}
    return [row for row in charged(evidence) if row["request_id"] not in answered]


def charged_cut(evidence: Evidence) -> list[Row]:
    """Return receipts with a charge of whose answer a customer got a part before it was lost."""
    whole = {s.billed_id for s in evidence.seen if not s.outcome.startswith(LOST)}
    begun = {s.billed_id for s in evidence.seen} - whole
    return [row for row in charged(evidence) if row["request_id"] in begun]


def charged(evidence: Evidence) -> list[Row]:
    """Return customers' receipts with a charge. The harness's own probes note no request ids."""
    wallet_ids = {account.wallet_id for account in evidence.accounts}
    return [
        row
        for row in evidence.receipts.values()
        if row["charged_credits"] and row["wallet_id"] in wallet_ids
    ]
