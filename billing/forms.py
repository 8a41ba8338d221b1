"""What customers fill in."""

from typing import Any

from django import forms

from accounts.models import ApiKey, User
from billing.models import PublicModel
from billing.services.low_balance import MAX_THRESHOLD_CREDITS

# The largest id that PostgreSQL's bigint holds; beyond it a query would fail.
MAX_ID = 2**63 - 1


class RefundForm(forms.Form):
    """Confirm a refund. `once` makes a second press of the button ask for nothing."""

    once = forms.UUIDField(widget=forms.HiddenInput)


class UsageFilterForm(forms.Form):
    """Narrow the usage table, and say where its page starts."""

    key: "forms.ModelChoiceField[ApiKey]" = forms.ModelChoiceField(
        label="API key", queryset=ApiKey.objects.none(), required=False, empty_label="All keys"
    )
    model = forms.ChoiceField(required=False)
    before = forms.IntegerField(
        required=False, min_value=1, max_value=MAX_ID, widget=forms.HiddenInput
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keys = self.fields["key"]
        assert isinstance(keys, forms.ModelChoiceField)  # noqa: S101 - tells the type checker
        keys.queryset = ApiKey.objects.filter(user=user)
        models = self.fields["model"]
        assert isinstance(models, forms.ChoiceField)  # noqa: S101 - tells the type checker
        names = PublicModel.objects.values_list("name", flat=True)
        models.choices = [("", "All models"), *((name, name) for name in names)]


class NotificationForm(forms.Form):
    """Choose which mails to get. Receipts and security mails are not among them."""

    wants_low_balance = forms.BooleanField(required=False, label="My balance is low")
    low_balance_credits = forms.IntegerField(
        label="Tell me below so many tokens",
        min_value=1,
        max_value=MAX_THRESHOLD_CREDITS,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    wants_lot_expiring = forms.BooleanField(required=False, label="Tokens expire within a week")
    wants_top_up_succeeded = forms.BooleanField(
        required=False, label="My balance was topped up automatically"
    )


class RedeemForm(forms.Form):
    """Type a code."""

    code = forms.CharField(
        max_length=60,
        widget=forms.TextInput(
            attrs={
                "placeholder": "XXXX-XXXX-XXXX-XXXX",
                "autocomplete": "off",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "class": "mono",
            }
        ),
    )
