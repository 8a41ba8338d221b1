"""Encrypt what the database keeps secret anew, once PROVIDER_KEYS_SECRET has a new key in front."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import Model

from accounts.desk.commands import RecordedCommand
from accounts.models import PersonKey
from billing.models import Webhook
from common.encryption import InvalidToken, reencrypt_secret
from proxy.models import ProviderAccount, ProviderKey


class Command(RecordedCommand):
    """`reencrypt_secrets`"""

    help = (
        "Encrypt the providers' keys, the secrets of second factors and webhooks and the keys of"
        " the audit trail with the newest key of PROVIDER_KEYS_SECRET. Afterwards the older ones"
        " may go. May run again, or be stopped."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        changed, unreadable = 0, []
        for name, reencrypt in _all():
            try:
                changed += reencrypt()
            except InvalidToken:
                unreadable.append(name)
        self.stdout.write(f"encrypted {changed} anew")
        if unreadable:
            raise CommandError(
                f"No key of PROVIDER_KEYS_SECRET opens {', '.join(unreadable)}. Add the key that"
                " they were encrypted with, or enter them anew."
            )


def _all() -> Iterator[tuple[str, Callable[[], bool]]]:
    for key in ProviderKey.objects.select_related("provider").order_by("pk"):
        yield f"the key {key}", partial(_renew, ProviderKey, "encrypted_secret", key.pk)
    accounts = ProviderAccount.objects.exclude(encrypted_secret=b"").select_related("provider")
    for account in accounts.order_by("pk"):
        name = f"the key of the {account}"
        yield name, partial(_renew, ProviderAccount, "encrypted_secret", account.pk)
    for pk in PersonKey.objects.order_by("pk").values_list("pk", flat=True):
        yield f"the audit key {pk}", partial(_renew, PersonKey, "encrypted_key", pk)
    for pk in Webhook.objects.order_by("pk").values_list("pk", flat=True):
        for column in ("encrypted_secret", "encrypted_previous"):
            yield f"the webhook {pk}", partial(_renew, Webhook, column, pk)
    for pk in Authenticator.objects.order_by("pk").values_list("pk", flat=True):
        yield f"the second factor {pk}", partial(_second_factor, pk)


@transaction.atomic
def _renew(model: type[Model], column: str, pk: int) -> bool:
    # Staff may replace or delete it meanwhile.
    rows = model._default_manager.filter(pk=pk)
    sealed = rows.select_for_update().values_list(column, flat=True).first()
    renewed = reencrypt_secret(bytes(sealed)) if sealed else None
    return renewed is not None and rows.update(**{column: renewed}) == 1


@transaction.atomic
def _second_factor(pk: int) -> bool:
    factor = Authenticator.objects.select_for_update().filter(pk=pk).first()
    if factor is None:
        return False
    renewed = _reencrypt_data(factor.data)
    if renewed == factor.data:
        return False
    return bool(Authenticator.objects.filter(pk=pk).update(data=renewed))


def _reencrypt_data(data: dict[str, Any]) -> dict[str, Any]:
    """Return what allauth keeps of an app (`secret`) or of codes (`seed`, `migrated_codes`)."""
    renewed = dict(data)
    for name in ("secret", "seed"):
        if name in data:
            renewed[name] = _reencrypt_text(data[name])
    if "migrated_codes" in data:
        renewed["migrated_codes"] = [_reencrypt_text(code) for code in data["migrated_codes"]]
    return renewed


def _reencrypt_text(encrypted: str) -> str:
    return (reencrypt_secret(encrypted.encode()) or encrypted.encode()).decode()
