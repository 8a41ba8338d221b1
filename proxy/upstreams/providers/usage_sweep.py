"""Fetch every provider's own report of our usage each day, and compare it with our receipts."""

from datetime import date, timedelta

from django.utils import timezone

from billing.exceptions import BillingError
from proxy.errors import BadUsageReport
from proxy.models import ProviderAccount
from proxy.upstreams.providers.findings import file_trouble, is_resting
from proxy.upstreams.providers.openai_usage import MOST_DAYS, read_usage
from proxy.upstreams.providers.usage_reports import Line, compare_days, file_differences

# Whole days until yesterday: what a report learns late, or a day on which it was away, is compared.
DAYS = 7


def sweep_usage() -> int:
    """Compare the last days of each provider that reports them. Returns how many differ."""
    accounts = ProviderAccount.objects.filter(
        shape=ProviderAccount.Shape.OPENAI, provider__is_active=True
    )
    yesterday = timezone.now().date() - timedelta(days=1)
    differing = 0
    for account in accounts.select_related("provider").order_by("pk"):
        if is_resting(account):
            continue
        try:
            lines = fetch_usage(account, yesterday - timedelta(days=DAYS - 1), yesterday)
        except BillingError as error:
            file_trouble(account, "usage", error)
            continue
        differing += file_differences(account.provider, lines)
    return differing


def fetch_usage(account: ProviderAccount, first: date, last: date) -> list[Line]:
    """Return what the provider says of each day beside ours. Raises NotAnswered, BadUsageReport."""
    count = (last - first).days + 1
    if not 1 <= count <= MOST_DAYS or last >= timezone.now().date():
        raise BadUsageReport(f"Ask for 1 to {MOST_DAYS} whole days, yesterday at the latest.")
    days = {first + timedelta(days=number) for number in range(count)}
    lines = compare_days(account.provider, read_usage(account, first, last), days)
    account.usage_at, account.rests_until = timezone.now(), None
    account.save(update_fields=["usage_at", "rests_until"])
    return lines
