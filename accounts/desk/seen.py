"""Two people at one object: who comes second is told, and does nothing that they did not see.

A page of a deed carries which line of the audit trail was the object's last when it was opened. The
deed compares it, under a lock of the object, so that of two at one instant the second sees the
first. A page that carries nothing, such as a program's, is not compared.
"""

from collections.abc import Collection, Sequence

from django.db import connection
from django.db.models import Max, Model
from django.http import HttpRequest

from accounts.models import AuditLine
from common.exceptions import DomainError
from common.locks import lock_names


class Overtaken(DomainError):
    """Somebody else did something to the object since the page was opened."""


def fields_of(request: HttpRequest, objects: Sequence[Model]) -> list[tuple[str, str]]:
    """Return the hidden fields of a page about these objects: as it was sent, or as of now."""
    label = objects[0]._meta.label_lower if objects else ""
    lines = AuditLine.objects.filter(model=label, object_id__in=[str(obj.pk) for obj in objects])
    last = dict(lines.order_by().values_list("object_id").annotate(last=Max("pk")))
    return [
        (name, request.POST.get(name) or str(last.get(str(obj.pk), 0)))
        for obj in objects
        for name in (_field_of(obj),)
    ]


def demand_unchanged(request: HttpRequest, obj: Model, deeds: Collection[str]) -> None:
    """Raise Overtaken if somebody else did one of these deeds since the page was opened.

    Within a transaction, others wait with their deeds on the object until it ends.
    """
    if connection.in_atomic_block:
        lock_names(f"desk {obj._meta.label_lower} {obj.pk}")
    seen = request.POST.get(_field_of(obj))
    if seen is None:
        return
    lines = AuditLine.objects.filter(
        model=obj._meta.label_lower,
        object_id=str(obj.pk),
        deed__in=deeds,
        pk__gt=int(seen) if seen.isdecimal() and len(seen) < 19 else 0,
    )
    line = lines.exclude(actor=request.user.pk).select_related("actor").first()
    if line is not None:
        raise Overtaken(
            f"{line.actor or line.command} did “{line.deed}” at {line.at:%H:%M:%S} UTC, after you"
            " opened this page. Nothing was done: look again."
        )


def _field_of(obj: Model) -> str:
    return f"seen-{obj._meta.label_lower}-{obj.pk}"
