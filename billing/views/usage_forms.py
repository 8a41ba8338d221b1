"""What the usage page is asked: which time, which requests, and how they are drawn."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.api_keys import keys_of
from accounts.models import ApiKey, Membership, User
from accounts.teams.members import is_alone
from accounts.teams.roles import Deed, may
from accounts.teams.trail import people_in
from billing.ledger.usage import UsageFilter, maker_seen_by
from billing.ledger.usage_charts import OUTCOMES, Figure
from billing.models import PublicModel
from billing.rollups.detail import gone_before
from billing.rollups.periods import (
    MOST_STEPS,
    Period,
    Step,
    between,
    count_steps,
    fitting_step,
    last_hours,
    midnight,
)
from billing.views.forms import MAX_ID
from common.credits import MAX_CREDITS
from common.long_selects import LongSelect
from common.number_fields import WholeNumberField

DAY_HOURS = 24
PERIODS = {
    "24h": _("24 hours"),
    "7d": _("7 days"),
    "": _("30 days"),
    "90d": _("90 days"),
    "1y": _("A year"),
}
# 24 hours may be of two days.
DAYS = {"24h": 2, "7d": 7, "": 30, "90d": 90, "1y": 364}
# The first request that anybody can have made here is younger.
FIRST_DAY = date(2020, 1, 1)
PARKED = "parked"
FIGURES = [
    (Figure.CREDITS, _("Credits")),
    (Figure.REQUESTS, _("Requests")),
    (Figure.TOKENS, _("Tokens")),
]
BARS = {
    Step.HOUR: _("One per hour"),
    Step.DAY: _("One per day"),
    Step.WEEK: _("One per week"),
}


class DayInput(forms.DateInput):
    """The browser's own calendar, which knows days in one form alone."""

    def __init__(self) -> None:
        super().__init__({"type": "date"}, "%Y-%m-%d")


class UsageForm(forms.Form):
    """Chooses a time, requests of it, and the chart; each field may be empty."""

    period = forms.ChoiceField(
        label=_("Period"), required=False, choices=list(PERIODS.items()), widget=LongSelect
    )
    by = forms.ChoiceField(label=_("Group by"), required=False, widget=LongSelect)
    figure = forms.ChoiceField(label=_("Show"), required=False, choices=FIGURES, widget=LongSelect)
    key: "forms.ModelChoiceField[ApiKey]" = forms.ModelChoiceField(
        label=_("API key"),
        widget=LongSelect,
        queryset=ApiKey.objects.none(),
        required=False,
        empty_label=_("All keys"),
    )
    model = forms.ChoiceField(label=_("Model"), required=False, widget=LongSelect)
    # For readers who see the usage of several people.
    member: "forms.ModelChoiceField[User]" = forms.ModelChoiceField(
        label=_("Member"),
        widget=LongSelect,
        queryset=User.objects.none(),
        required=False,
        empty_label=_("Everybody"),
    )
    outcome = forms.ChoiceField(
        label=_("Outcome"),
        required=False,
        widget=LongSelect,
        choices=[
            ("", _("All")),
            *((outcome.value, words) for outcome, words in OUTCOMES.items()),
            (PARKED, _("Under review")),
        ],
    )
    step = forms.ChoiceField(
        label=_("Bars"),
        required=False,
        widget=LongSelect,
        choices=[
            ("", _("Automatic")),
            *((each, words) for each, words in BARS.items()),
        ],
    )
    since = forms.DateField(
        label=_("From"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    until = forms.DateField(
        label=_("To, this day included"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    request_id = forms.CharField(
        label=_("Request id"),
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )
    least_credits = WholeNumberField(
        label=_("Charged at least"), required=False, min_value=0, max_value=MAX_CREDITS
    )
    most_credits = WholeNumberField(
        label=_("Charged at most"), required=False, min_value=0, max_value=MAX_CREDITS
    )
    before = forms.IntegerField(
        required=False, min_value=1, max_value=MAX_ID, widget=forms.HiddenInput
    )

    # Beside the period: fields that a wide window has in view, and those that are folded away.
    IN_VIEW = ("by", "figure", "key", "model", "member")
    FOLDED = ("outcome", "since", "until", "step", "request_id", "least_credits", "most_credits")
    # What narrows the list of requests down.
    NARROWING = ("key", "model", "member", "outcome", "request_id", "least_credits", "most_credits")

    def __init__(self, seat: Membership, zone: ZoneInfo, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seat, self.zone, self.now = seat, zone, timezone.now()
        names = PublicModel.objects.values_list("name", flat=True)
        self._set_choices("model", [("", gettext("All models")), *((name, name) for name in names)])
        self._set_queryset("key", keys_of(seat).select_related(None).only("name", "hint"))
        groups = [
            ("", gettext("Nothing")),
            ("model", gettext("Model")),
            ("key", gettext("API key")),
            ("outcome", gettext("Outcome")),
        ]
        if is_alone(seat.team) or not may(seat, Deed.SEE_ALL_USAGE):
            del self.fields["member"]
        else:
            self._set_queryset("member", people_in(seat.team))
            groups.append(("member", gettext("Member")))
        self._set_choices("by", groups)

    def _set_choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - tells the type checker
        field.choices = choices

    def _set_queryset(self, name: str, rows: QuerySet[Any]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - tells the type checker
        field.queryset = rows

    def clean(self) -> None:
        super().clean()
        given = self.cleaned_data
        first, last = self._days()
        if not FIRST_DAY <= first <= last <= self._today() + timedelta(days=1):
            raise forms.ValidationError(
                gettext(
                    "The days don't fit: the first comes after the last, or one lies too far away."
                )
            )
        step = self._step(first, last)
        if step is Step.HOUR and self._is_without_hours(first):
            raise forms.ValidationError(
                gettext("That is too long ago for bars per hour. Please choose days.")
            )
        if count_steps(first, last, step) > MOST_STEPS:
            raise forms.ValidationError(
                gettext(
                    "That is more than {most_steps} bars. Please choose longer ones, or fewer days."
                ).format(most_steps=MOST_STEPS)
            )
        least, most = given.get("least_credits"), given.get("most_credits")
        if least is not None and most is not None and least > most:
            raise forms.ValidationError(gettext("No charge is at least more than it is at most."))

    @property
    def in_view(self) -> list[forms.BoundField]:
        return [self[name] for name in self.IN_VIEW if name in self.fields]

    @property
    def folded(self) -> list[forms.BoundField]:
        return [self[name] for name in self.FOLDED]

    @property
    def is_unfolded(self) -> bool:
        """Tell whether something is set in a folded field."""
        return any(self.data.get(name) for name in self.FOLDED)

    @property
    def narrowing(self) -> list[tuple[str, str]]:
        """Return what is chosen beside the period, as label and words; only after `is_valid`."""
        chosen = {name: self.cleaned_data.get(name) for name in (*self.IN_VIEW, *self.FOLDED)}
        return [
            (str(self.fields[name].label), _words_of(self.fields[name], value))
            for name, value in chosen.items()
            if value not in (None, "")
        ]

    @property
    def is_narrowed(self) -> bool:
        """Tell whether requests of the time may be left out."""
        return any(self.data.get(name) for name in self.NARROWING)

    @property
    def period_chosen(self) -> Period:
        """Return the time and its bars; only after `is_valid`."""
        given = self.cleaned_data
        first, last = self._days()
        is_custom = given["since"] or given["until"]
        if given["period"] == "24h" and not is_custom:
            return last_hours(DAY_HOURS, now=self.now, zone=self.zone)
        return between(first, last, step=self._step(first, last), zone=self.zone)

    def chosen(self, period: Period) -> UsageFilter:
        """Return which requests are chosen; only after `is_valid`."""
        given = self.cleaned_data
        is_parked = given["outcome"] == PARKED
        return UsageFilter(
            api_key=given["key"],
            model_name=given["model"],
            made_by=given.get("member") or maker_seen_by(self.seat),
            outcome="" if is_parked else given["outcome"],
            since=period.starts_at,
            until=period.ends_at,
            is_parked=is_parked,
            request_id=given["request_id"],
            least_credits=given["least_credits"],
            most_credits=given["most_credits"],
        )

    def _days(self) -> tuple[date, date]:
        """Return the first and the last day, as far as they are known to be days."""
        given = self.cleaned_data
        last = given.get("until") or self._today()
        days = DAYS[given.get("period", "")]
        return given.get("since") or last - timedelta(days=days - 1), last

    def _step(self, first: date, last: date) -> Step:
        """Return what a bar stands for, if nothing else was chosen what fits these days."""
        if chosen := self.cleaned_data.get("step"):
            return Step(chosen)
        step = fitting_step(first, last)
        return Step.DAY if step is Step.HOUR and self._is_without_hours(first) else step

    def _is_without_hours(self, first: date) -> bool:
        return gone_before(midnight(first, self.zone)) is not None

    def _today(self) -> date:
        return datetime.astimezone(self.now, self.zone).date()


def _words_of(field: forms.Field, value: Any) -> str:
    """Return a field's value as its reader knows it."""
    if isinstance(field, forms.ModelChoiceField):
        return str(field.label_from_instance(value))
    if isinstance(field, forms.ChoiceField):
        choices: Any = field.choices
        return str(dict(choices)[value])
    if isinstance(value, date):
        return date_format(value)
    return str(field.prepare_value(value))
