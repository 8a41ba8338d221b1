"""The balance: what all balance transactions add up to."""

from collections import defaultdict

from stripe.params import (
    BalanceRetrieveParams,
    BalanceTransactionListParams,
    BalanceTransactionRetrieveParams,
)

from sandbox.stripe.box import Box
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.store import JsonObject, Record

# The standard price of a domestic card: 2.9 % + 30 of the smallest unit.
_FEE_PERMILLE = 29
_FEE_FIXED = 30


def charge_fee(amount: int) -> int:
    """Return Stripe's fee, rounded half up."""
    return (amount * _FEE_PERMILLE + 500) // 1000 + _FEE_FIXED


def new_balance_transaction(
    box: Box,
    *,
    source: JsonObject,
    kind: str,
    amount: int,
    fee: int,
    description: str | None,
    category: str | None = None,
) -> Record:
    """Book a charge (positive) or a refund (negative); a refund does not give the fee back.

    The `reporting_category` is the kind, unless that says less than is known.
    """
    currency = source["currency"]
    details = {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }
    stamp = box.stamp("balance_transaction")
    # The one object of these that has no `livemode`.
    del stamp["livemode"]
    return box.store.insert(
        {
            **stamp,
            "amount": amount,
            "available_on": stamp["created"],
            "balance_type": "payments",
            "currency": currency,
            "description": description,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [details] if fee else [],
            "net": amount - fee,
            "reporting_category": category or kind,
            "source": source["id"],
            "status": "available",
            "type": kind,
        }
    )


def _retrieve(call: Call) -> JsonObject:
    net_by_currency: defaultdict[str, int] = defaultdict(int)
    rows = call.box.store.connection.execute(
        "SELECT json_extract(body, '$.currency') AS currency, sum(json_extract(body, '$.net')) AS"
        " net FROM objects WHERE kind = 'balance_transaction' GROUP BY 1"
    )
    for row in rows:
        net_by_currency[row["currency"]] = row["net"]
    # An account starts with an empty dollar balance.
    net_by_currency["usd"] += 0
    funds = sorted(net_by_currency.items())
    return {
        "object": "balance",
        "available": [
            {"amount": net, "currency": currency, "source_types": {"card": net}}
            for currency, net in funds
        ],
        "livemode": False,
        "pending": [
            {"amount": 0, "currency": currency, "source_types": {"card": 0}}
            for currency, _ in funds
        ],
    }


def _transaction(call: Call) -> JsonObject:
    return call.box.get("balance_transaction", call.path_params["id"], param="id").body


def _transactions(call: Call) -> JsonObject:
    names = ("currency", "source", "type")
    return list_objects(call, "balance_transaction", filters={name: f"$.{name}" for name in names})


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/balance",
        params=BalanceRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="GET",
        path="/v1/balance_transactions",
        params=BalanceTransactionListParams,
        emulated=PAGING | {"currency", "source", "type"},
        run=_transactions,
    ),
    Operation(
        method="GET",
        path="/v1/balance_transactions/{id}",
        params=BalanceTransactionRetrieveParams,
        emulated=PAGING,
        run=_transaction,
    ),
)
