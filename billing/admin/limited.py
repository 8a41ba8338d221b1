"""Actions that one member of staff may do up to a limit; beyond it, a second person approves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from django.http import QueryDict

from accounts.desk.actions import Asked, Done, StaffAction
from accounts.desk.pages import M
from accounts.models import User
from billing.approvals.decisions import Wish, ask_approval
from billing.approvals.limits import EXCEEDS, why_beyond

# What a form has beside the answers.
# The action that makes codes; it has a page of its own.
MAKE_CODES = "make"
NO_ANSWERS = ("csrfmiddlewaretoken", "seen-")


@dataclass(frozen=True)
class LimitedAction(StaffAction[M]):
    """An action whose `worth`, in credits, counts towards the limits of whoever does it."""

    worth: Callable[[Asked[M]], int] = lambda asked: 0
    # Whatever it is worth.
    takes_two: bool = False

    @property
    def deeds(self) -> tuple[str, ...]:
        return (self.label, self.asked_deed)

    @property
    def asked_deed(self) -> str:
        """Return how the trail names that it was asked for."""
        return f"Asked for: {self.label}"

    def run(self, asked: Asked[M]) -> Done:
        """Do it, or ask for it if it is more than one person may do."""
        worth = self.worth(asked)
        if why := self.why_not_alone(asked.actor, worth):
            approval = ask_approval(self.wish_of(asked, worth), by=asked.actor)
            text = f"Nothing was done yet. {why} A second person has been asked to approve it."
            return Done(
                text if approval.is_open() else f"It was asked for before: {approval.outcome}",
                deed=self.asked_deed,
            )
        return Done(self.apply(asked), worth_credits=worth)

    def why_not_alone(self, actor: User, worth_credits: int) -> str:
        """Return why somebody may not do this alone; empty if they may."""
        if self.takes_two and not actor.has_perm(EXCEEDS):
            return "It always takes two."
        return why_beyond(actor, worth_credits)

    def wish_of(self, asked: Asked[M], worth: int) -> Wish:
        return Wish(
            page=asked.obj._meta.label_lower,
            action=self.name,
            object_id=str(asked.obj.pk),
            press=press_of(asked),
            answers=answers_of(asked.request.POST),
            label=self.label,
            reason=asked.reason,
            worth_credits=worth,
        )


def answers_of(posted: QueryDict) -> dict[str, Any]:
    """Return a form's answers as they can be kept."""
    return {name: values for name, values in posted.lists() if not name.startswith(NO_ANSWERS)}


def press_of(asked: Asked[Any]) -> UUID:
    """Return the number of this press of the button, for this object."""
    once = asked.answers.get("once")
    name = f"{asked.obj._meta.label_lower} {asked.obj.pk} {asked.reason}"
    return uuid5(once, name) if once else uuid5(UUID(int=0), name)
