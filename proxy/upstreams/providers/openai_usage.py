"""What OpenAI says we used and what it cost, by day and model: its organisation's own endpoints.

It takes an admin key. Days are UTC. Names of models come with the date of their snapshot, which is
left out where a route has the name without it. What costs are for is told in words that begin with
the model's name ("gpt-4o-2024-08-06, input").
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Set
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from billing.margin.rates import COST_CURRENCY
from billing.rollups.periods import midnight
from proxy.errors import BadUsageReport
from proxy.models import ProviderAccount
from proxy.upstreams.providers.asking import ask_account
from proxy.upstreams.providers.usage_reports import MOST_DOLLARS, MOST_TOKENS, Reported, Used

# The addresses, and what each row of theirs must have.
USAGE = {
    "/organization/usage/completions": ("input_tokens", "output_tokens"),
    "/organization/usage/embeddings": ("input_tokens",),
}
COSTS = "/organization/costs"
# As many days as a page of usage has at most.
MOST_DAYS = 31
MOST_PAGES = 50
DAY_S = 86_400
SNAPSHOT = re.compile(r"-(\d{4}|\d{4}-\d{2}-\d{2})$")
UNNAMED = "other costs"
# Text and sound are told apart, which our receipts do not.
PROMPT = ("input_tokens", "input_audio_tokens")
COMPLETION = ("output_tokens", "output_audio_tokens")


def read_usage(account: ProviderAccount, first: date, last: date) -> list[Reported]:
    """Ask what was used from a day to another. Raises NotAnswered, BadUsageReport."""
    known = set(account.provider.routes.values_list("upstream_model", flat=True))
    try:
        used = _read_tokens(account, first, last, known)
        costs = _read_costs(account, first, last, known)
    except (KeyError, TypeError, ValueError, InvalidOperation, AttributeError, OverflowError) as e:
        raise BadUsageReport(f"Its answer has a shape that is not known ({e!r:.80}).") from e
    return [(day, model, each) for (day, model), each in _join(used, costs).items()]


Key = tuple[date, str]


def _read_tokens(
    account: ProviderAccount, first: date, last: date, known: Set[str]
) -> dict[Key, Used]:
    found: dict[Key, Used] = {}
    for path, needed in USAGE.items():
        for day, row in _pages(account, path, first, last, group_by="model"):
            if not all(name in row for name in needed):
                raise KeyError(", ".join(needed))
            used = Used(_add_up(row, PROMPT), _add_up(row, COMPLETION), None)
            found.setdefault((day, _name(row["model"], known)), Used(cost=None)).add(used)
    return found


def _read_costs(
    account: ProviderAccount, first: date, last: date, known: Set[str]
) -> dict[Key, Decimal]:
    found: dict[Key, Decimal] = defaultdict(Decimal)
    for day, row in _pages(account, COSTS, first, last, group_by="line_item"):
        amount = row["amount"]
        if amount["currency"].lower() != COST_CURRENCY:
            raise ValueError("its costs are in another currency")
        cost = Decimal(amount["value"])
        if not abs(cost) <= MOST_DOLLARS:
            raise ValueError("a cost is impossible")
        # What belongs to no item has no name.
        item = row["line_item"] or UNNAMED
        found[day, _name(item.partition(",")[0].strip(), known)] += cost
    return found


def _join(used: dict[Key, Used], costs: dict[Key, Decimal]) -> dict[Key, Used]:
    """Set each model's cost beside its tokens, and what else was billed on lines of its own.

    Of a day whose costs name none of its models nothing is told: they are not told by model then.
    """
    named = {day for day, model in used if (day, model) in costs}
    for key, cost in costs.items():
        if key in used:
            used[key].cost = cost
        elif key[0] in named and cost > 0:
            used[key] = Used(cost=cost)
    return used


def _pages(
    account: ProviderAccount, path: str, first: date, last: date, *, group_by: str
) -> Iterator[tuple[date, Any]]:
    """Yield the rows of all pages, each with its day."""
    asked = {
        "start_time": int(midnight(first).timestamp()),
        "end_time": int(midnight(last + timedelta(days=1)).timestamp()),
        "bucket_width": "1d",
        "group_by": group_by,
        "limit": MOST_DAYS,
        **({"project_ids": account.project} if account.project else {}),
    }
    for _ in range(MOST_PAGES):
        page = ask_account(account, f"{path}?{urlencode(asked)}")
        for bucket in page["data"]:
            start = bucket["start_time"]
            if type(start) is not int or start % DAY_S:
                raise ValueError("a bucket is no day")
            day = datetime.fromtimestamp(start, UTC).date()
            if first <= day <= last:
                yield from ((day, row) for row in bucket["results"])
        if not page["has_more"]:
            return
        asked["page"] = page["next_page"] or ""
    raise BadUsageReport(f"It has more than {MOST_PAGES} pages.")


def _add_up(row: Any, names: tuple[str, ...]) -> int:
    counts = [row.get(name) or 0 for name in names]
    if not all(type(count) is int and 0 <= count <= MOST_TOKENS for count in counts):
        raise ValueError("a number of tokens is impossible")
    return sum(counts)


def _name(theirs: str, known: Set[str]) -> str:
    plain = SNAPSHOT.sub("", theirs)
    return plain if theirs not in known and plain in known else theirs[:120]
