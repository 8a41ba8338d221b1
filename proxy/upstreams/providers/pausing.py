"""Pause a provider: it gets no new requests, and those under way end as they would."""

from django.utils import timezone

from proxy.models import Provider


def pause(provider: Provider, reason: str) -> bool:
    """Send no new requests there, as soon as web processes have read it. False if it was paused."""
    return (
        Provider.objects.filter(pk=provider.pk, paused_at=None).update(
            paused_at=timezone.now(), pause_reason=reason
        )
        == 1
    )


def resume(provider: Provider) -> bool:
    """Send requests there again. False if it was not paused."""
    paused = Provider.objects.filter(pk=provider.pk, paused_at__isnull=False)
    return paused.update(paused_at=None, pause_reason="") == 1
