"""The actions that test an upstream, and those that close its circuit."""

from collections.abc import Callable
from typing import Any

from django import forms

from accounts.desk.actions import Asked, ReasonForm, StaffAction
from proxy.errors import TrialFailed
from proxy.models import Provider
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


def close_circuit(asked: Asked[Any]) -> str:
    prefix = "p" if isinstance(asked.obj, Provider) else "r"
    forget(f"{prefix}{asked.obj.pk}")
    return "Its circuit is closed."


_TEST = "Sends a tiny request the way a customer's would go, with each key. Nobody is charged."


def _test_action(explanation: str, run: Callable[[Any], list[Trial]]) -> StaffAction[Any]:
    return StaffAction(
        name="test",
        label="Test",
        explanation=explanation,
        apply=lambda asked: show(run(asked.obj)),
        form_class=NoReasonForm,
        is_atomic=False,
        is_harmless=True,
    )


TEST_ROUTE = _test_action(_TEST, try_route)
TEST_PROVIDER = _test_action(f"{_TEST} The first active route is taken.", try_provider)
CLOSE_CIRCUIT = StaffAction[Any](
    name="close-circuit",
    label="Close circuit",
    explanation=(
        "Requests go there again at once. The circuit opens anew by itself if they fail"
        f" ({Blame.PROVIDER.value} or {Blame.ROUTE.value})."
    ),
    apply=close_circuit,
    is_atomic=False,
)
