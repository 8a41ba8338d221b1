"""What is wrong with our accounts at providers, as findings: each once while it is open."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from billing.exceptions import BillingError
from billing.ledger.inbox import file_item
from billing.models import InboxItem
from proxy.errors import NotAnswered
from proxy.models import ProviderAccount

TROUBLE = "provider_account_failing"
# However long a provider asks to wait.
LONGEST_REST_S = 86_400.0


def file_once(kind: str, name: str, summary: str, detail: dict[str, Any]) -> bool:
    """File a finding for today, unless one about the same is open. Tell whether it is new."""
    mine = InboxItem.objects.filter(kind=kind, reference__startswith=f"{name}@")
    if mine.filter(resolved_at=None).exists():
        return False
    reference = f"{name}@{timezone.now():%Y-%m-%d}"
    return file_item(kind=kind, reference=reference, summary=summary, detail=detail)[1]


def file_trouble(account: ProviderAccount, what: str, error: BillingError) -> bool:
    """File that a provider does not tell something, and leave it alone as long as it asks."""
    if isinstance(error, NotAnswered) and error.retry_after_s:
        wait = timedelta(seconds=min(error.retry_after_s, LONGEST_REST_S))
        account.rests_until = timezone.now() + wait
        account.save(update_fields=["rests_until"])
    provider = account.provider
    return file_once(
        TROUBLE,
        f"{provider.name}:{what}",
        f"{provider} does not tell our {what}: {error}",
        {"provider": provider.name, "what": what, "error": str(error)},
    )


def is_resting(account: ProviderAccount) -> bool:
    """Tell whether the provider asked to be left alone for longer."""
    return account.rests_until is not None and account.rests_until > timezone.now()
