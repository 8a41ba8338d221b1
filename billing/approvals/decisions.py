"""Ask for a deed, approve it, refuse it, withdraw it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import Permission
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import User
from billing.exceptions import ApprovalRefused
from billing.models import Approval, Notice
from billing.notices.notify import notify

APPROVES = "change_approval"


@dataclass(frozen=True, slots=True)
class Wish:
    """A deed that somebody may not do alone."""

    page: str
    action: str
    object_id: str
    press: UUID
    answers: dict[str, Any]
    label: str
    reason: str
    worth_credits: int


def ask_approval(wish: Wish, *, by: User) -> Approval:
    """Write a wish down and mail those who may approve it. Safe to repeat: a press asks once."""
    approval, is_new = Approval.objects.get_or_create(
        page=wish.page,
        action=wish.action,
        object_id=wish.object_id,
        press=wish.press,
        defaults={
            "answers": wish.answers,
            "label": wish.label[:80],
            "reason": wish.reason[:200],
            "worth_credits": wish.worth_credits,
            "asked_by": by,
            "expires_at": timezone.now() + timedelta(days=settings.DESK_APPROVAL_DAYS),
        },
    )
    if is_new:
        for user in find_approvers().exclude(pk=by.pk):
            notify(
                user,
                Notice.Kind.APPROVAL_ASKED,
                reference=str(approval.pk),
                person_id=by.pk,
                deed=approval.label,
                worth_credits=approval.worth_credits,
                approval_id=approval.pk,
            )
    return approval


def find_approvers() -> QuerySet[User]:
    """Return the staff who may approve."""
    right = Permission.objects.filter(
        codename=APPROVES, content_type__app_label=Approval._meta.app_label
    )
    may = Q(is_superuser=True) | Q(groups__permissions__in=right) | Q(user_permissions__in=right)
    return User.objects.filter(may, is_active=True, is_staff=True).distinct().order_by("pk")


@transaction.atomic
def approve(approval: Approval, *, by: User, carry_out: Callable[[], str]) -> str:
    """Do what was asked for, once, and say what was done. Of two who approve at once, one does.

    Raises ApprovalRefused, and what `carry_out` raises: the deed then still waits.
    """
    locked = _lock_open(approval)
    if locked.asked_by_id == by.pk:
        raise ApprovalRefused("Somebody else has to approve what you asked for.")
    outcome = carry_out()
    _decide(locked, Approval.State.APPROVED, by=by, outcome=outcome)
    return outcome


@transaction.atomic
def refuse(approval: Approval, *, by: User, reason: str) -> None:
    """Refuse what was asked for; nothing is done. Raises ApprovalRefused."""
    locked = _lock_open(approval)
    if locked.asked_by_id == by.pk:
        raise ApprovalRefused("You asked for it: withdraw it instead.")
    _decide(locked, Approval.State.REFUSED, by=by, outcome=reason)


@transaction.atomic
def withdraw(approval: Approval, *, by: User, reason: str) -> None:
    """Take back what one asked for; nothing is done. Raises ApprovalRefused."""
    locked = _lock_open(approval)
    if locked.asked_by_id != by.pk:
        raise ApprovalRefused("Only who asked for it can withdraw it.")
    _decide(locked, Approval.State.WITHDRAWN, by=by, outcome=reason)


def _lock_open(approval: Approval) -> Approval:
    locked = Approval.objects.select_for_update().get(pk=approval.pk)
    if not locked.is_open():
        raise ApprovalRefused(f"It is {locked.shown_state()} already.")
    return locked


def _decide(locked: Approval, state: Approval.State, *, by: User, outcome: str) -> None:
    locked.state, locked.decided_by, locked.decided_at = state, by, timezone.now()
    locked.outcome = outcome[:300]
    locked.save(update_fields=["state", "decided_by", "decided_at", "outcome"])
