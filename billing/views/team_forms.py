"""The forms of a team's pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership, Role, TeamEvent, User
from accounts.teams.roles import may_act_on
from accounts.teams.trail import people_in
from billing.views.forms import MAX_ID
from common.credits import MAX_CREDITS
from common.number_fields import WholeNumberField

ENDS, PASSES = "end", "pass"


class TeamNameForm(forms.Form):
    """Name a team."""

    name = forms.CharField(
        label=_("Name"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )


class InvitationForm(forms.Form):
    """Whom to invite, as what."""

    email = forms.EmailField(
        label=_("Email"), widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    role = forms.ChoiceField(label=_("Role"), initial=Role.DEVELOPER)

    def __init__(self, seat: Membership, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        role = self.fields["role"]
        assert isinstance(role, forms.ChoiceField)  # noqa: S101 - tells the type checker
        role.choices = [(each.value, each.label) for each in roles_to_give(seat)]


class RoleForm(forms.Form):
    """Give a member another role."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)


class CapsForm(forms.Form):
    """The most that all keys of a member may spend. An empty cap is none."""

    monthly_cap_credits = WholeNumberField(
        label=_("Spend at most, each month"),
        required=False,
        min_value=0,
        max_value=MAX_CREDITS,
        help_text=_("In credits, by all their keys together. Empty: no cap."),
    )
    lifetime_cap_credits = WholeNumberField(
        label=_("Spend at most, in all"),
        required=False,
        min_value=0,
        max_value=MAX_CREDITS,
        help_text=_("Their keys stop when it is used up. Empty: no cap."),
    )


class RemovalForm(forms.Form):
    """What becomes of the keys of a member who is removed. There is no default."""

    keys = forms.ChoiceField(
        label=_("Their API keys"),
        choices={
            ENDS: _("End at once: programs that use them are refused"),
            PASSES: _("Pass to the team: programs go on, and admins manage the keys"),
        },
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose what becomes of their keys.")},
    )


class EventFilterForm(forms.Form):
    """Filters the audit trail, and says where its page starts."""

    person: "forms.ModelChoiceField[User]" = forms.ModelChoiceField(
        label=_("Person"), queryset=User.objects.none(), required=False, empty_label=_("Everybody")
    )
    action = forms.ChoiceField(
        label=_("What"),
        required=False,
        choices=[("", _("Everything")), *((a.value, a.label) for a in TeamEvent.Action)],
    )
    before = forms.IntegerField(
        required=False, min_value=1, max_value=MAX_ID, widget=forms.HiddenInput
    )

    def __init__(self, seat: Membership, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        person = self.fields["person"]
        assert isinstance(person, forms.ModelChoiceField)  # noqa: S101 - tells the type checker
        person.queryset = people_in(seat.team)


def roles_to_give(seat: Membership) -> list[Role]:
    """Return the roles that a member may invite people as."""
    return [role for role in Role if may_act_on(seat, role)]
