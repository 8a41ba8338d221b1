"""The forms of API keys, for customers and staff."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, NoReturn

from django import forms
from django.conf import settings as site
from django.core.validators import MaxValueValidator
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey
from billing.keys.networks import BadNetwork, clean_networks
from billing.keys.settings import (
    MOST_PER_MINUTE,
    KeySettings,
    TooManyModels,
    clean_models,
)
from billing.models import PublicModel
from common import money
from common.credits import MAX_CREDITS
from common.number_fields import WholeNumberField

KEEP = "keep"
ALL, ONLY = "all", "only"


class LimitsForm(forms.Form):
    """What a key may do. An empty limit is the site's default; an empty cap is none.

    Whether a list restricts the key is a field of its own, so that a list cleared by mistake does
    not allow everything.
    """

    monthly_cap_credits = WholeNumberField(
        label=_("Spend at most, each month"),
        required=False,
        min_value=0,
        max_value=MAX_CREDITS,
        help_text=_("In credits. Starts anew on the 1st, UTC. Empty: no cap."),
    )
    lifetime_cap_credits = WholeNumberField(
        label=_("Spend at most, in all"),
        required=False,
        min_value=0,
        max_value=MAX_CREDITS,
        help_text=_("The key stops for good when it is used up. Empty: no cap."),
    )
    requests_per_minute = WholeNumberField(
        label=_("Requests per minute"), required=False, min_value=1
    )
    tokens_per_minute = WholeNumberField(label=_("Tokens per minute"), required=False, min_value=1)
    concurrent_requests = WholeNumberField(label=_("Requests at once"), required=False, min_value=1)
    models_scope = forms.ChoiceField(
        label=_("Models"),
        choices={ALL: _("All models, later ones too"), ONLY: _("Only these")},
        widget=forms.RadioSelect,
        initial=ALL,
        error_messages={"required": _("Choose all models, or only some.")},
    )
    allowed_models = forms.MultipleChoiceField(
        label=_("Allowed models"), required=False, widget=forms.CheckboxSelectMultiple
    )
    networks_scope = forms.ChoiceField(
        label=_("Networks"),
        choices={ALL: _("From anywhere"), ONLY: _("Only from these")},
        widget=forms.RadioSelect,
        initial=ALL,
        error_messages={"required": _("Choose everywhere, or only some networks.")},
    )
    allowed_networks = forms.CharField(
        label=_("Allowed networks"),
        required=False,
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "203.0.113.7\n198.51.100.0/24"}),
        help_text=_("Addresses or networks, one per line."),
    )

    CAPS = ("monthly_cap_credits", "lifetime_cap_credits")
    LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
    SCOPES: ClassVar = {
        "models_scope": "allowed_models",
        "networks_scope": "allowed_networks",
    }

    def __init__(self, *args: Any, key: ApiKey | None = None, **kwargs: Any) -> None:
        if key is not None:
            kwargs["initial"] = {**initial_of(key), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        self.key = key
        names = list(self.find_models().values_list("name", flat=True))
        # A model that is no longer listed stays allowed until somebody unticks it.
        names += [name for name in (key.allowed_models if key else []) if name not in names]
        models = self.fields["allowed_models"]
        assert isinstance(models, forms.MultipleChoiceField)  # noqa: S101 - tells the type checker
        models.choices = [(name, name) for name in names]
        for name in self.LIMITS:
            self._bound(name)

    def most(self, name: str) -> int:
        """Return the highest limit that this form accepts for a field."""
        return MOST_PER_MINUTE

    def find_models(self) -> "QuerySet[PublicModel]":
        """Return the models to choose from."""
        return PublicModel.objects.all()

    def clean_allowed_models(self) -> list[str]:
        if not self._is_narrow("models_scope"):
            return []
        try:
            return clean_models(self.cleaned_data["allowed_models"]) or _refuse(
                gettext("Tick a model.")
            )
        except TooManyModels as error:
            raise forms.ValidationError(str(error)) from error

    def clean_allowed_networks(self) -> list[str]:
        if not self._is_narrow("networks_scope"):
            return []
        text: str = self.cleaned_data["allowed_networks"]
        try:
            networks = clean_networks(text.replace(",", "\n").splitlines())
        except BadNetwork as error:
            raise forms.ValidationError(str(error)) from error
        return networks or _refuse(gettext("Name a network."))

    def change(self, before: KeySettings) -> KeySettings:
        """Return the settings chosen; the expiry stays as it was. The form must be valid."""
        return replace(settings_from(self.cleaned_data), expires_at=before.expires_at)

    def _is_narrow(self, scope: str) -> bool:
        return bool(self.cleaned_data.get(scope) == ONLY)

    def _bound(self, name: str) -> None:
        field, most = self.fields[name], self.most(name)
        assert isinstance(field, WholeNumberField)  # noqa: S101 - tells the type checker
        field.max_value = most
        field.validators = [*field.validators, MaxValueValidator(most)]
        default: int = getattr(site, f"DEFAULT_{name.upper()}")
        field.widget.attrs["placeholder"] = f"{default:,}"
        field.help_text = gettext("Empty: {default}.").format(default=money.credits(default))


class ApiKeyForm(LimitsForm):
    """A customer's key: its name and expiry, and optional limits."""

    LIFETIMES = {
        "": _("Never expires"),
        "7": _("Expires in 7 days"),
        "30": _("Expires in 30 days"),
        "90": _("Expires in 90 days"),
        "365": _("Expires in a year"),
    }

    name = forms.CharField(
        max_length=60,
        widget=forms.TextInput(
            attrs={"placeholder": _("Production server"), "autocomplete": "off"}
        ),
    )
    lifetime = forms.ChoiceField(
        label=_("Expiry"), choices=list(LIFETIMES.items()), required=False, initial=""
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.key is not None:
            self.fields["name"].initial = self.key.name
            lifetime = self.fields["lifetime"]
            assert isinstance(lifetime, forms.ChoiceField)  # noqa: S101 - tells the type checker
            lifetime.choices = [(KEEP, gettext("Leave as it is")), *self.LIFETIMES.items()]
            lifetime.initial = KEEP

    def most(self, name: str) -> int:
        """Return the site's default, or more where staff allowed this key more."""
        default: int = getattr(site, f"DEFAULT_{name.upper()}")
        return max(default, (getattr(self.key, name) if self.key else None) or 0)

    def find_models(self) -> "QuerySet[PublicModel]":
        """Return the models on sale."""
        return super().find_models().filter(is_active=True)

    def change(self, before: KeySettings) -> KeySettings:
        """Return the settings chosen, the expiry counted from now. The form must be valid."""
        chosen = super().change(before)
        lifetime = self.cleaned_data["lifetime"]
        if lifetime == KEEP:
            return chosen
        expires_at = timezone.now() + timedelta(days=int(lifetime)) if lifetime else None
        return replace(chosen, expires_at=expires_at)

    def limit_fields(self) -> list[forms.BoundField]:
        """Return the numeric fields below "Limits", in the form's order."""
        return [self[name] for name in (*self.CAPS, *self.LIMITS)]

    def scope_fields(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        """Return each field that chooses between everything and a list, with its list's field."""
        return [(self[scope], self[listed]) for scope, listed in self.SCOPES.items()]

    @property
    def has_limits(self) -> bool:
        """Tell whether to show the limits opened: one is set, or has an error."""
        if any(name in self.errors for name in LimitsForm.base_fields):
            return True
        closed = (*self.CAPS, *self.LIMITS, *self.SCOPES)
        return any(self[name].value() not in {None, "", ALL} for name in closed)


class RotateForm(forms.Form):
    """How long the old secret still works after a rotation."""

    OVERLAPS = {
        "0": _("End the old secret at once"),
        "1": _("For 1 hour"),
        "24": _("For 24 hours"),
        "168": _("For 7 days"),
        "720": _("For 30 days"),
    }

    overlap = forms.ChoiceField(
        label=_("Let the old secret work"), choices=list(OVERLAPS.items()), initial="24"
    )

    def duration(self) -> timedelta:
        """Return the overlap chosen. The form must be valid."""
        return timedelta(hours=int(self.cleaned_data["overlap"]))


def initial_of(key: ApiKey) -> dict[str, Any]:
    """Return a key's settings as a form shows them."""
    return {
        "requests_per_minute": key.requests_per_minute,
        "tokens_per_minute": key.tokens_per_minute,
        "concurrent_requests": key.concurrent_requests,
        "lifetime_cap_credits": key.lifetime_cap_credits,
        "monthly_cap_credits": key.monthly_cap_credits,
        "models_scope": ONLY if key.allowed_models else ALL,
        "allowed_models": key.allowed_models,
        "networks_scope": ONLY if key.allowed_networks else ALL,
        "allowed_networks": "\n".join(key.allowed_networks),
    }


def settings_from(chosen: dict[str, Any]) -> KeySettings:
    """Return the settings in a valid form's data, without the expiry."""
    return KeySettings(
        requests_per_minute=chosen["requests_per_minute"],
        tokens_per_minute=chosen["tokens_per_minute"],
        concurrent_requests=chosen["concurrent_requests"],
        lifetime_cap_credits=chosen["lifetime_cap_credits"],
        monthly_cap_credits=chosen["monthly_cap_credits"],
        allowed_models=tuple(chosen["allowed_models"]),
        allowed_networks=tuple(chosen["allowed_networks"]),
    )


def _refuse(message: str) -> NoReturn:
    raise forms.ValidationError(message)
