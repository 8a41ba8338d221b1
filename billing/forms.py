"""What customers fill in."""

from typing import Any

from django import forms

from accounts.models import ApiKey, User
from billing.models import PublicModel

# The largest id that PostgreSQL's bigint holds; beyond it a query would fail.
MAX_ID = 2**63 - 1


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
