"""Change a member's role and hand over ownership, and mail whoever it concerns."""

from uuid import uuid4

from django.db import transaction

from accounts.models import Membership, Role, User
from accounts.teams import members
from billing.teams.notices import notify_handed_over, notify_role_changed


@transaction.atomic
def change_role(seat: Membership, member: User, role: Role) -> Membership:
    """Give a member another role. Safe to repeat. Raises NotAllowed, NotAMember, LastOwner."""
    before = Membership.objects.filter(team=seat.team, user=member).values_list("role", flat=True)
    was = before.first()
    changed = members.change_role(seat, member, role)
    if was != changed.role:
        notify_role_changed(changed, reference=str(uuid4()))
    return changed


@transaction.atomic
def hand_over(seat: Membership, member: User) -> None:
    """Make another member an owner, and the owner who hands over an admin.

    Raises NotAllowed, NotAMember, TeamRefused.
    """
    members.hand_over(seat, member)
    notify_handed_over(seat.team, heir=member, giver=seat.user)
