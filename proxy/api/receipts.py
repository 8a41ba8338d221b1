"""A request's receipt in JSON: what was held, counted, priced, charged and released.

PostgreSQL has it about a second after the request ended. Until then Redis knows whether the
request runs and what it was charged, and the receipt's `status` says so.
"""

from datetime import UTC, datetime
from typing import Any

from billing.exceptions import UnknownHold
from billing.ledger.receipts import Receipt, explain
from billing.models import UsageRecord
from billing.token_classes import counts_of
from billing.wallet.client import WalletClient
from billing.wallet.commands.shards import Register
from proxy.api.instants import instant
from proxy.database import ask_database
from proxy.errors import ReceiptNotFound
from proxy.serving.keys import KeyFacts


async def get_receipt(wallet: WalletClient, key: KeyFacts, request_id: str) -> dict[str, Any]:
    """Return the receipt of a request that this key made. Raises ReceiptNotFound.

    A key can't read the requests of another key, even of the same customer.
    """
    if receipt := await ask_database(find_receipt, key.api_key_id, request_id):
        return describe(receipt)
    try:
        register = await wallet.find_register(key.wallet_id, request_id)
    except UnknownHold:
        # It may have been booked, and its register dropped, between the two reads.
        receipt = await ask_database(find_receipt, key.api_key_id, request_id)
        if receipt is None:
            raise ReceiptNotFound(request_id) from None
        return describe(receipt)
    if register.facts.api_key_id != key.api_key_id:
        raise ReceiptNotFound(request_id)
    return describe_unbooked(register)


def find_receipt(api_key_id: int, request_id: str) -> Receipt | None:
    """Return the receipt of a key's booked request, with its price; None if not booked."""
    record = (
        UsageRecord.objects.select_related("price", "wallet")
        .filter(request_id=request_id, api_key_id=api_key_id)
        .first()
    )
    return explain(record) if record else None


def describe(receipt: Receipt) -> dict[str, Any]:
    """Describe a receipt. Its lines add up to `millicredits`, which are rounded up once."""
    record = receipt.record
    return {
        "id": record.request_id,
        "object": "usage",
        "status": "booked",
        "model": record.model_name,
        "endpoint": record.endpoint,
        "stream": record.is_stream,
        "outcome": record.outcome,
        "counted_by": record.source,
        "attempts": record.attempts,
        "usage": {
            **counts_of(record),
            "total_tokens": record.prompt_tokens + record.completion_tokens,
        },
        "price_version": record.price.version,
        "lines": [
            {
                "class": line.name,
                "tokens": line.tokens,
                "rate_millicredits": line.rate_millicredits,
                "amount_millicredits": line.amount_millicredits,
            }
            for line in receipt.lines
        ],
        "sum_millicredits": receipt.sum_millicredits,
        "held_credits": record.held_credits,
        "charged_credits": record.charged_credits,
        "released_credits": receipt.released_credits,
        "written_off_credits": record.write_off_credits,
        "waived_credits": receipt.waived_credits,
        "started_at": instant(record.started_at),
        "ended_at": instant(record.ended_at),
        "first_byte_ms": record.first_byte_ms,
    }


def describe_unbooked(register: Register) -> dict[str, Any]:
    """Describe a request that is running or ended a moment ago, from its register in Redis."""
    facts = register.facts
    return {
        "id": facts.request_id,
        "object": "usage",
        "status": "running" if register.is_open else "settled",
        "model": facts.model_name,
        "endpoint": facts.endpoint,
        "stream": facts.is_stream,
        "held_credits": register.held_credits,
        "charged_credits": register.charged_credits,
        "started_at": instant(datetime.fromtimestamp(facts.started_at_ms / 1_000, UTC)),
    }
