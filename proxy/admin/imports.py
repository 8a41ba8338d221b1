"""The action that imports an upstream's list of models."""

from django import forms

from accounts.desk.actions import Asked, ReasonForm, StaffAction
from proxy.models import Provider
from proxy.upstreams.providers.model_sync import apply_sync, plan_sync

MOST_LINES = 25


class SyncForm(ReasonForm):
    """Which models to import, and whether to import them or only show what would change."""

    name_prefix = forms.CharField(
        label="Prefix",
        required=False,
        max_length=40,
        help_text="Put before the provider's names, such as acme/.",
    )
    only = forms.CharField(
        required=False,
        max_length=200,
        help_text="Patterns with spaces between, such as gpt-4* o3*. Empty: everything.",
    )
    is_applied = forms.BooleanField(
        label="Import",
        required=False,
        help_text="Without it, nothing is changed: you see what would be.",
    )
    field_order = ("name_prefix", "only", "is_applied", "reason")


def sync_models(asked: Asked[Provider]) -> str:
    answers = asked.answers
    sync = plan_sync(asked.obj, prefix=answers["name_prefix"], only=answers["only"].split())
    if answers["is_applied"]:
        apply_sync(sync)
    *lines, summary = sync.lines()
    shown = "; ".join([summary, *lines[:MOST_LINES], *(["…"] if len(lines) > MOST_LINES else [])])
    return shown if answers["is_applied"] else f"Nothing was changed. {shown}"


SYNC_MODELS = StaffAction[Provider](
    name="import-models",
    label="Import models",
    explanation=(
        "Asks the provider for its models. New ones become routes that are switched off, to models"
        " that need a price; what it no longer lists is marked as vanished."
    ),
    permission="proxy.add_route",
    apply=sync_models,
    form_class=SyncForm,
    is_atomic=False,
)
