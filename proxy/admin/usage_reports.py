"""The action that sets a provider's own report of our usage beside our receipts."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.desk.actions import Asked, Preview, StaffAction
from proxy.admin.list_forms import ListForm
from proxy.models import Provider
from proxy.upstreams.providers.usage_reports import COLUMNS, Line, compare, file_differences

MOST_SHOWN = 200
NOTHING = "–"


class UsageReportForm(ListForm):
    """A provider's report of usage."""

    shape = f"CSV with the header {','.join(COLUMNS)}: days in UTC, costs in dollars or empty."


def preview_comparison(
    request: HttpRequest, providers: Sequence[Provider], answers: dict[str, Any]
) -> Preview:
    """Show their figures beside ours, the greatest difference first."""
    if not request.user.has_perm("billing.view_margin"):
        raise PermissionDenied
    return show_lines(compare(providers[0], answers["text"]))


def show_lines(lines: Sequence[Line]) -> Preview:
    beyond = sum(line.is_beyond for line in lines)
    return Preview(
        title="Their figures → ours",
        columns=("Day and model", "Prompt", "Completion", "Cost, USD", "Difference", ""),
        rows=[_row(line) for line in lines[:MOST_SHOWN]],
        notes=[
            f"{beyond} of {len(lines)} differ by more than {settings.USAGE_TOLERANCE_PERCENT} %."
        ],
    )


def file_comparison(asked: Asked[Provider]) -> str:
    return tell_filed(asked.obj, compare(asked.obj, asked.answers["text"]))


def tell_filed(provider: Provider, lines: Sequence[Line]) -> str:
    """File what differs, and say how much that is."""
    return f"{file_differences(provider, lines)} of {len(lines)} days of models are in the inbox."


COMPARE_USAGE = StaffAction[Provider](
    name="compare-usage",
    label="Compare usage",
    explanation="Compares the provider's own report with our receipts, by day and model. What"
    " differs beyond the tolerance is filed in the inbox; Preview shows all.",
    permission="proxy.change_provider",
    apply=file_comparison,
    form_class=UsageReportForm,
    is_for_one=True,
    preview=preview_comparison,
)


def _row(line: Line) -> list[str]:
    theirs, ours = line.theirs, line.ours
    return [
        f"{line.day} {line.model}",
        f"{theirs.prompt_tokens:,} → {ours.prompt_tokens:,}",
        f"{theirs.completion_tokens:,} → {ours.completion_tokens:,}",
        f"{_cost(theirs.cost)} → {_cost(ours.cost)}",
        f"{line.difference_percent:.1f} %",
        "differs" if line.is_beyond else "",
    ]


def _cost(cost: Decimal | None) -> str:
    return NOTHING if cost is None else f"{cost:,.4f}"
