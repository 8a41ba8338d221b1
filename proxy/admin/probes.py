"""Probes on a provider's page: what they cost, and at most can."""

from decimal import Decimal

from billing.margin.rates import COST_CURRENCY
from proxy.models import Provider
from proxy.upstreams.providers.probe_costs import COST_DAYS, read_bound, read_spent


def say_probes(provider: Provider) -> str:
    """Say what a day's probes cost at most, and what those of the last days did."""
    bound, spent = read_bound(provider), read_spent(provider)
    words = [f"At most {_money(bound.cost)} a day."]
    if bound.unknown_routes:
        words.append(f"{bound.unknown_routes} routes without a purchase price are not in it.")
    if spent["count"]:
        words.append(
            f"In the last {COST_DAYS} days: {spent['count']:,} probes, {spent['failed']:,} failed,"
            f" {_money(spent['cost'])}."
        )
    if spent["unpriced"]:
        words.append(f"Of {spent['unpriced']:,} the cost is not known.")
    return " ".join(words)


def _money(cost: Decimal) -> str:
    return f"{cost:.4f} {COST_CURRENCY.upper()}"
