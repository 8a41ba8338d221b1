"""What is left of our accounts at providers, and for how many days it lasts.

A sweep asks. What a provider refuses to tell, or tells in a shape that is not known, leaves the
last balance with its age, and becomes a finding; so does a balance below what staff want.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Min, Sum
from django.utils import timezone

from billing.margin.rates import COST_CURRENCY, read_rates
from billing.margin.reads import NANOS
from billing.models import SiteRollUp
from proxy.errors import NotAnswered
from proxy.models import ProviderAccount
from proxy.upstreams.providers.asking import ask_account
from proxy.upstreams.providers.findings import file_once, file_trouble, is_resting

LOW = "provider_balance_low"
# The days of which the cost is taken for the present one.
COST_DAYS = 7
MOST_MONEY = Decimal(10) ** 12
MILLIONTH = Decimal("0.000001")
LONGEST_DAYS = Decimal(9_999)
# For so long a provider may be out of reach before staff are told.
PATIENCE = timedelta(hours=1)

Money = tuple[Decimal, str]


@dataclass(frozen=True, slots=True)
class Way:
    """Where a provider tells what is left, and how to read it."""

    path: str
    read: Callable[[Any, str], Money]
    is_at_root: bool = False


def _of_openrouter(body: Any, currency: str) -> Money:
    data = body["data"]
    return _money(data["total_credits"]) - _money(data["total_usage"]), "usd"


def _of_deepseek(body: Any, currency: str) -> Money:
    """Return the purse that has the most; one that has nothing is listed too."""
    purses = [(_money(each["total_balance"]), each["currency"]) for each in body["balance_infos"]]
    return max(purses)


# Each as its documentation has it. Where none names the currency, it is that of the host's country.
WAYS: dict[str, Way] = {
    "openrouter": Way("/credits", _of_openrouter),
    "deepseek": Way("/user/balance", _of_deepseek, is_at_root=True),
    "moonshot": Way(
        "/users/me/balance",
        lambda body, currency: (_money(body["data"]["available_balance"]), currency),
    ),
    "siliconflow": Way(
        "/user/info",
        lambda body, currency: (_money(body["data"]["totalBalance"]), currency),
    ),
}


def sweep_balances() -> int:
    """Ask every provider that tells a balance, and file what is wrong. Returns how many told."""
    accounts = ProviderAccount.objects.filter(shape__in=WAYS, provider__is_active=True)
    told = 0
    for account in accounts.select_related("provider").order_by("pk"):
        if is_resting(account):
            continue
        try:
            measure_balance(account)
            told += 1
        except NotAnswered as error:
            is_passing = error.status is None or error.status >= 500
            last_at = account.balance_at
            if not is_passing or last_at is None or last_at < timezone.now() - PATIENCE:
                file_trouble(account, "balance", error)
    return told


def measure_balance(account: ProviderAccount) -> None:
    """Ask what is left, keep it, and file a finding if it is too little. Raises NotAnswered."""
    balance, currency = _ask_balance(account)
    now = timezone.now()
    cost = _daily_cost(account.provider.name, now)
    account.balance, account.currency, account.balance_at = balance, currency, now
    account.daily_cost, account.days_left = cost, _days_left(balance, currency, cost, now)
    account.rests_until = None
    fields = ("balance", "currency", "balance_at", "daily_cost", "days_left", "rests_until")
    account.save(update_fields=fields)
    if account.is_low:
        file_once(
            LOW,
            account.provider.name,
            f"{account.provider} has {balance:,.2f} {currency.upper()} left, less than"
            f" {account.alarm_below:,.2f}.",
            {
                "provider": account.provider.name,
                "left": f"{balance:.2f} {currency.upper()}",
                "alarm_below": f"{account.alarm_below:.2f}",
                "days_left": None if account.days_left is None else str(account.days_left),
            },
        )


def _ask_balance(account: ProviderAccount) -> Money:
    way = WAYS[account.shape]
    body = ask_account(account, way.path, is_at_root=way.is_at_root)
    host = urlsplit(account.provider.base_url).hostname or ""
    try:
        balance, currency = way.read(body, "cny" if host.endswith(".cn") else "usd")
        currency = currency.lower()
        if not (currency.isascii() and currency.isalpha() and len(currency) == 3):
            raise ValueError("no currency")
    except (KeyError, TypeError, ValueError, InvalidOperation, AttributeError) as error:
        raise NotAnswered(
            f"Its balance has a shape that is not known ({error!r:.80}).", status=200
        ) from error
    return balance, currency


def _money(written: Any) -> Decimal:
    if isinstance(written, bool) or not isinstance(written, str | int | Decimal):
        raise TypeError("no amount")
    amount = Decimal(written)
    if not abs(amount) <= MOST_MONEY:
        raise ValueError("an impossible amount")
    return amount.quantize(MILLIONTH)


def _daily_cost(provider_name: str, now: datetime) -> Decimal:
    """Return what a day cost us there of late, by our receipts; of a new provider, so far."""
    since = now - timedelta(days=COST_DAYS)
    rows = SiteRollUp.objects.filter(provider_name=provider_name, starts_at__gte=since)
    found = rows.aggregate(cost=Sum("cost_nanos"), first=Min("starts_at"))
    if not found["cost"]:
        return Decimal(0)
    days = Decimal((now - found["first"]).total_seconds()) / 86_400
    cost = Decimal(found["cost"]) / NANOS / min(max(days, Decimal(1)), Decimal(COST_DAYS))
    return cost.quantize(MILLIONTH)


def _days_left(balance: Decimal, currency: str, cost: Decimal, now: datetime) -> Decimal | None:
    """Return how long it lasts at that cost; None without a cost, or without a rate for it."""
    rate = read_rates().find(currency, now.date())
    if rate is None or cost <= 0:
        return None
    days = max(balance, Decimal(0)) * rate / cost
    return min(days, LONGEST_DAYS).quantize(Decimal("0.1"))


def read_accounts() -> list[ProviderAccount]:
    """Return the accounts whose providers tell what is left, the next to be used up first."""
    found = ProviderAccount.objects.filter(shape__in=WAYS, provider__is_active=True)
    return list(found.select_related("provider").order_by("days_left", "provider__name"))


def say_balance(account: ProviderAccount) -> str:
    """Say what is left and for how long, for staff."""
    if account.balance is None:
        return "not known yet"
    days = "" if account.days_left is None else f", {account.days_left:,} days at present cost"
    return f"{account.balance:,.2f} {account.currency.upper()}{days}"


def say_cost(account: ProviderAccount) -> str:
    """Say what a day costs at present."""
    if account.daily_cost is None:
        return "–"
    return f"{account.daily_cost:,.2f} {COST_CURRENCY.upper()} a day"
