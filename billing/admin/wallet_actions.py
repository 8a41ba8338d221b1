"""The actions on wallets: credits, limits, freezes, notes, log-outs, and the end of an account."""

from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

from django import forms
from django.utils import timezone
from django.utils.formats import date_format

from accounts.addresses import MOST_CHARS
from accounts.desk.actions import Asked, ReasonForm, StaffAction
from accounts.models import Membership, User
from billing.admin.limited import LimitedAction
from billing.desk import visits
from billing.keys.settings import MOST_PER_MINUTE
from billing.leaving.address import give_address, why_address_stays
from billing.leaving.deletion import delete_account, why_not
from billing.leaving.sessions import end_sessions_of
from billing.ledger.freezes import open_freezes
from billing.ledger.references import DeskPress
from billing.ledger.wallets import (
    adjust_credits,
    freeze_wallet,
    grant_credits,
    limit_wallet,
    unfreeze_wallet,
)
from billing.models import Dispute, Freeze, StaffNote, Wallet
from common.credits import MAX_CREDITS

LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")


class GrantForm(ReasonForm):
    """A grant of credits. Because of `once`, a second press of the button posts nothing."""

    credits = forms.IntegerField(min_value=1, max_value=MAX_CREDITS)
    validity_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=36_500,
        help_text="Days until they expire. Empty: never.",
    )
    is_promotional = forms.BooleanField(
        required=False,
        initial=True,
        label="Promotional",
        help_text="Spent before what the customer paid for.",
    )
    once = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)
    field_order = ("credits", "validity_days", "is_promotional", "reason")


class AdjustForm(ReasonForm):
    """A correction in either direction. `once` as in a grant."""

    amount_credits = forms.IntegerField(
        label="Credits",
        min_value=-MAX_CREDITS,
        max_value=MAX_CREDITS,
        help_text="More than zero adds, less than zero takes away.",
    )
    once = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)
    field_order = ("amount_credits", "reason")

    def clean_amount_credits(self) -> int:
        amount: int = self.cleaned_data["amount_credits"]
        if amount == 0:
            raise forms.ValidationError("An adjustment of zero changes nothing.")
        return amount


class WalletLimitsForm(ReasonForm):
    """What all keys of a wallet may do together. Empty is the site's default."""

    requests_per_minute = forms.IntegerField(required=False, min_value=1, max_value=MOST_PER_MINUTE)
    tokens_per_minute = forms.IntegerField(required=False, min_value=1, max_value=MOST_PER_MINUTE)
    concurrent_requests = forms.IntegerField(
        label="Requests at once", required=False, min_value=1, max_value=MOST_PER_MINUTE
    )
    field_order = ("requests_per_minute", "tokens_per_minute", "concurrent_requests", "reason")


class NoteForm(ReasonForm):
    """A note. Its text is kept with the customer, and not in the record of what staff did."""

    text = forms.CharField(
        max_length=2_000, widget=forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField"})
    )
    reason = forms.CharField(initial="A note", widget=forms.HiddenInput, max_length=200)
    field_order = ("text", "reason")


class CausesField(forms.ModelMultipleChoiceField[Freeze]):
    """Check boxes of what keeps a wallet frozen."""

    widget = forms.CheckboxSelectMultiple

    def label_from_instance(self, obj: Any) -> str:
        return describe_cause(obj)


class UnfreezeForm(ReasonForm):
    """Which causes to lift. A dispute is lifted by nobody who did not tick it."""

    causes = CausesField(
        queryset=Freeze.objects.none(),
        label="Lift",
        help_text="The wallet stays frozen for what is left unticked.",
    )
    field_order = ("causes", "reason")

    def __init__(self, *args: Any, wallet: Wallet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(CausesField, self.fields["causes"])
        field.queryset = open_freezes(wallet)
        field.initial = open_freezes(wallet).exclude(kind=Freeze.Kind.DISPUTE)


class MemberField(forms.ModelChoiceField[Membership]):
    """Chooses one of a team's members."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.user}, {obj.get_role_display()}"


class AddressForm(ReasonForm):
    """Another address, typed twice: a slip would give the account to a stranger."""

    email = forms.EmailField(label="New address", max_length=MOST_CHARS)
    again = forms.EmailField(label="The same again", max_length=MOST_CHARS)
    once = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)
    field_order = ("email", "again", "reason")

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()

    def clean_again(self) -> str:
        again = str(self.cleaned_data["again"]).lower()
        if again != self.cleaned_data.get("email"):
            raise forms.ValidationError("The two differ.")
        return again


class LookForm(ReasonForm):
    """Whom of a team to visit: what they see depends on their role."""

    member = MemberField(queryset=Membership.objects.none(), label="As", empty_label=None)
    field_order = ("member", "reason")

    def __init__(self, *args: Any, wallet: Wallet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(MemberField, self.fields["member"])
        field.queryset = visits.who_may_be_visited(wallet.team_id)
        field.initial = field.queryset.first()


def describe_cause(freeze: Freeze) -> str:
    """Say since when and why a wallet is frozen, and how its dispute stands."""
    dispute = Dispute.objects.filter(stripe_dispute_id=freeze.reference).first()
    standing = ""
    if dispute is not None:
        standing = f", {'still open at the bank' if dispute.is_open else dispute.status}"
    since = date_format(freeze.created_at, "SHORT_DATE_FORMAT")
    return f"{freeze.get_kind_display().capitalize()} since {since}{standing}: {freeze.reason}"


def reference_of(asked: Asked[Wallet]) -> DeskPress:
    """Return the reference of this press of the button for this wallet."""
    return DeskPress(asked.answers["once"].hex, asked.obj.pk)


def grant(asked: Asked[Wallet]) -> str:
    days = asked.answers["validity_days"]
    grant_credits(
        asked.obj,
        credits=asked.answers["credits"],
        reason=asked.reason,
        actor=asked.actor,
        is_promotional=asked.answers["is_promotional"],
        expires_at=timezone.now() + timedelta(days=days) if days else None,
        reference=reference_of(asked),
    )
    return f"Granted {asked.answers['credits']:,} credits."


def adjust(asked: Asked[Wallet]) -> str:
    amount = asked.answers["amount_credits"]
    adjust_credits(
        asked.obj,
        amount_credits=amount,
        actor=asked.actor,
        reason=asked.reason,
        reference=reference_of(asked),
    )
    if amount > 0:
        return f"Adjusted by {amount:+,} credits."
    return f"Asked to take {-amount:,} credits; what is available is taken within seconds."


def freeze(asked: Asked[Wallet]) -> str:
    freeze_wallet(asked.obj, reason=asked.reason)
    return "Frozen."


def unfreeze(asked: Asked[Wallet]) -> str:
    causes = list(asked.answers["causes"])
    unfreeze_wallet(asked.obj, causes=causes)
    lifted = "; ".join(map(describe_cause, causes))
    left = "; ".join(map(describe_cause, open_freezes(asked.obj)))
    return f"Lifted: {lifted}. {f'It stays frozen. Left: {left}.' if left else 'It is unfrozen.'}"


def limit(asked: Asked[Wallet]) -> str:
    chosen = {name: asked.answers[name] for name in LIMITS}
    limit_wallet(asked.obj, **chosen)
    limits = (f"{name.replace('_', ' ')} {value or 'default'}" for name, value in chosen.items())
    return f"Limits set: {', '.join(limits)}."


def note(asked: Asked[Wallet]) -> str:
    StaffNote.objects.create(wallet=asked.obj, text=asked.answers["text"], author=asked.actor)
    return "Noted."


def sign_out(asked: Asked[Wallet]) -> str:
    count = end_sessions_of(asked.obj)
    return f"{count} browser{'' if count == 1 else 's'} logged out."


def look(asked: Asked[Wallet]) -> str:
    member = asked.answers["member"]
    until = visits.start_visit(asked.request, member)
    return f"Shown as member {member.pk} sees it, read-only, until {until:%H:%M:%S} UTC."


def change_address(asked: Asked[Wallet]) -> str:
    give_address(owner_of(asked.obj), asked.answers["email"])
    # Approvals keep this text, and nothing personal is in it.
    return "The address is changed, every browser is logged out, and both addresses are mailed."


def owner_of(wallet: Wallet) -> User:
    person = wallet.team.person
    assert person is not None  # noqa: S101  # see the refusal
    return person


def delete(asked: Asked[Wallet]) -> str:
    delete_account(owner_of(asked.obj))
    return "The account is deleted, and what was personal is gone."


def why_not_deleted(wallet: Wallet) -> str:
    if wallet.team.closed_at is not None:
        return "It is closed already."
    if wallet.team.person is None:
        return "A team is closed by its owner."
    return why_not(wallet.team.person)


def is_frozen(wallet: Wallet) -> bool:
    return wallet.state == Wallet.State.FROZEN


GRANT = LimitedAction[Wallet](
    worth=lambda asked: int(asked.answers["credits"]),
    name="grant",
    label="Grant credits",
    explanation="Adds credits to each wallet. A debt is paid from them first.",
    permission="billing.add_ledgerentry",
    apply=grant,
    asks_again=True,
    form_class=GrantForm,
)
ADJUST = LimitedAction[Wallet](
    worth=lambda asked: abs(int(asked.answers["amount_credits"])),
    name="adjust",
    label="Adjust",
    explanation="Corrects the balance with an entry of its own. Taking away takes at most what is"
    " available, never what an open request holds.",
    permission="billing.add_ledgerentry",
    apply=adjust,
    asks_again=True,
    form_class=AdjustForm,
)
LIMIT = StaffAction[Wallet](
    name="limit",
    label="Set limits",
    explanation="What all API keys of the wallet may do together, from the next request on. Empty"
    " is the site's default.",
    apply=limit,
    form_class=WalletLimitsForm,
    get_initial=lambda wallets: {name: getattr(wallets[0], name) for name in LIMITS},
    is_for_one=True,
)
FREEZE = StaffAction[Wallet](
    name="freeze",
    label="Freeze",
    explanation="Refuses new API calls at once. Open requests end and are charged.",
    apply=freeze,
    refusal=lambda wallet: "It is frozen already." if is_frozen(wallet) else "",
)
UNFREEZE = StaffAction[Wallet](
    name="unfreeze",
    label="Unfreeze",
    explanation="Lifts the causes that you tick. API calls go through again when none is left. A"
    " dispute is not ticked for you: while it is open, the bank may take the money.",
    apply=unfreeze,
    form_class=UnfreezeForm,
    get_options=lambda wallet: {"wallet": wallet},
    is_for_one=True,
    refusal=lambda wallet: "" if is_frozen(wallet) else "It is not frozen.",
)
NOTE = StaffAction[Wallet](
    name="note",
    label="Add a note",
    explanation="For staff; the customer does not see it. It is gone with the account.",
    permission="billing.add_staffnote",
    apply=note,
    form_class=NoteForm,
    is_for_one=True,
    is_harmless=True,
)
SIGN_OUT = StaffAction[Wallet](
    name="sign-out",
    label="Sign out everywhere",
    explanation="Logs every browser of the team's members out at once. API keys go on.",
    apply=sign_out,
)
LOOK = StaffAction[Wallet](
    name="look",
    label="See their dashboard",
    explanation="Shows the dashboard as one of its members sees it, for some minutes. Nothing can"
    " be done there, no secret is shown, and that you looked, and why, is recorded.",
    permission=visits.RIGHT,
    apply=look,
    refusal=lambda wallet: (
        ""
        if visits.who_may_be_visited(wallet.team_id).exists()
        else "Its team is closed, or all of its members are staff."
    ),
    form_class=LookForm,
    get_options=lambda wallet: {"wallet": wallet},
    get_next=lambda asked: visits.address_of(asked.answers["member"]),
    is_for_one=True,
    is_harmless=True,
)
ADDRESS = LimitedAction[Wallet](
    name="change-address",
    label="Change the address",
    explanation="For somebody who can't read their old address and has shown who they are. Whoever"
    " reads the new one gets into the account, so it takes a second person, the old address is"
    " told at once, and every browser is logged out. API keys and the second factor stay.",
    permission="accounts.change_address",
    apply=change_address,
    refusal=lambda wallet: why_address_stays(wallet.team.person),
    form_class=AddressForm,
    get_changed=owner_of,
    takes_two=True,
    is_for_one=True,
    asks_again=True,
)
DELETE = StaffAction[Wallet](
    name="delete-account",
    label="Close and erase",
    explanation="For somebody who asked for it: keys end, what is unspent is refunded as the"
    " settings say, and what is personal is overwritten. It can't be undone.",
    permission="accounts.delete_user",
    apply=delete,
    refusal=why_not_deleted,
    is_for_one=True,
    is_atomic=False,
    asks_again=True,
)
ACTIONS = (GRANT, ADJUST, LIMIT, FREEZE, UNFREEZE, NOTE, LOOK, SIGN_OUT, ADDRESS, DELETE)
