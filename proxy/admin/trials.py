"""The actions that test an upstream, and those that close its circuit."""

from typing import Any

from django import forms

from accounts.desk.actions import Asked, ReasonForm, StaffAction
from proxy.errors import TrialFailed
from proxy.models import Provider, Route
from proxy.upstreams.ejection import forget
from proxy.upstreams.providers.trial import Trial, try_provider, try_route
from proxy.upstreams.verdicts import Blame

MOST_LINES = 12


class NoReasonForm(ReasonForm):
    """The form of an action that changes nothing, so that it needs no reason."""

    reason = forms.CharField(required=False, initial="a test", widget=forms.HiddenInput)


def show(trials: list[Trial]) -> str:
    """Describe the results of trials. Raises TrialFailed if one of them is not good."""
    text = " ".join(map(str, trials))
    if not all(trial.is_good for trial in trials):
        raise TrialFailed(text)
    return text


def test_route(asked: Asked[Route]) -> str:
    return show(try_route(asked.obj))


def test_provider(asked: Asked[Provider]) -> str:
    return show(try_provider(asked.obj))


def close_circuit(asked: Asked[Any]) -> str:
    prefix = "p" if isinstance(asked.obj, Provider) else "r"
    forget(f"{prefix}{asked.obj.pk}")
    return "Its circuit is closed."


_TEST = "Sends a tiny request the way a customer's would go, with each key. Nobody is charged."
_CLOSE = (
    "Requests go there again at once. The circuit opens anew by itself if they fail"
    f" ({Blame.PROVIDER.value} or {Blame.ROUTE.value})."
)

TEST_ROUTE = StaffAction[Route](
    name="test",
    label="Test",
    explanation=_TEST,
    permission="proxy.change_route",
    apply=test_route,
    form_class=NoReasonForm,
    is_atomic=False,
)
TEST_PROVIDER = StaffAction[Provider](
    name="test",
    label="Test",
    explanation=f"{_TEST} The first active route is taken.",
    permission="proxy.change_provider",
    apply=test_provider,
    form_class=NoReasonForm,
    is_atomic=False,
)
CLOSE_ROUTE = StaffAction[Route](
    name="close-circuit",
    label="Close circuit",
    explanation=_CLOSE,
    permission="proxy.change_route",
    apply=close_circuit,
    is_atomic=False,
)
CLOSE_PROVIDER = StaffAction[Provider](
    name="close-circuit",
    label="Close circuit",
    explanation=_CLOSE,
    permission="proxy.change_provider",
    apply=close_circuit,
    is_atomic=False,
)
