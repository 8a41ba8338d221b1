"""Keys that a provider refuses: they are ejected, staff are told, and staff take them back."""

import redis
import structlog
from django.db import transaction
from django.utils import timezone

from billing.ledger.inbox import file_item
from proxy.models import ProviderKey
from proxy.upstreams import shared
from proxy.upstreams.loading import to_key
from proxy.upstreams.shared import CircuitLimits

log = structlog.get_logger(__name__)


@transaction.atomic
def eject_key(key_id: int, *, sealed: bytes, reason: str) -> bool:
    """Eject a key that its provider refused. False if it is ejected already. Safe to repeat.

    `sealed` is the encrypted secret that was refused: a newer secret is not ejected.
    """
    refused = ProviderKey.objects.filter(pk=key_id, encrypted_secret=sealed, ejected_at=None)
    now = timezone.now()
    if not refused.update(ejected_at=now, ejection_reason=reason[:200] or "refused"):
        return False
    key = ProviderKey.objects.select_related("provider").get(pk=key_id)
    file_item(
        kind="provider_key_ejected",
        reference=f"{key_id}:{now.isoformat()}",
        summary=f"{key} was refused and is not used any more: {reason}",
        detail={"provider": key.provider.name, "key": key_id, "reason": reason},
    )
    return True


def alarm_quota(key_id: int, *, reason: str) -> bool:
    """Tell staff, once a day, that a provider's account has run out. False if they were told."""
    key = ProviderKey.objects.select_related("provider").filter(pk=key_id).first()
    if key is None:
        return False
    _, is_new = file_item(
        kind="provider_quota",
        reference=f"{key_id}:{timezone.now():%Y-%m-%d}",
        summary=f"{key} has run out of quota: {reason}",
        detail={"provider": key.provider.name, "key": key_id, "reason": reason},
    )
    return is_new


@transaction.atomic
def take_back_key(key: ProviderKey) -> bool:
    """Use an ejected or spared key again. False if it was not ejected. Safe to repeat."""
    was_ejected = ProviderKey.objects.filter(pk=key.pk, ejected_at__isnull=False).update(
        ejected_at=None, ejection_reason=""
    )
    usable = to_key(key)
    if usable is not None:
        transaction.on_commit(lambda: forget(usable.mark))
    return bool(was_ejected)


def forget(*names: str) -> None:
    """Close circuits and use spared keys again, everywhere and at once.

    Without Redis there is nothing shared to clear, so its absence is logged and is no error.
    """
    with shared.open_shared() as client:
        try:
            client.execute_command(*shared.parts(CircuitLimits(), "clear", *names))
        except redis.RedisError:
            log.warning("upstream_health_not_cleared", exc_info=True)
