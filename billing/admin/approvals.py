"""The inbox of deeds that wait for a second person."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, QueryDict
from django.urls import reverse

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction, StaffActionsAdmin
from accounts.desk.filters import ConditionFilter
from accounts.desk.pages import Tool
from billing.admin.limited import MAKE_CODES
from billing.approvals.decisions import approve, refuse, withdraw
from billing.exceptions import ApprovalRefused
from billing.models import Approval
from billing.models.approval import open_now

TONES = {"open": "waiting", "approved": "good"}


class OpenFilter(ConditionFilter):
    title = "state"
    parameter_name = "waits"
    conditions = {"open": ("Open", open_now()), "closed": ("Closed", ~open_now())}


def carry_out(asked: Asked[Approval]) -> str:
    """Fill in the form of what was asked for, and do it in the asker's name."""
    approval = asked.obj
    page, action = find_deed(approval)
    request = asked.request
    if not page.is_allowed(request, action):
        raise ApprovalRefused("You may not do this yourself, so you can't approve it.")
    obj = page.get_queryset(request).filter(pk=approval.object_id).first()
    if obj is None:
        raise ApprovalRefused("What it is about is not there any more.")
    if refusal := action.refusal(obj):
        raise ApprovalRefused(refusal)
    form = action.make_form([obj], to_query(approval.answers))
    if not form.is_valid():
        raise ApprovalRefused(f"It can't be done any more: {form.errors.as_text()}")
    deed = Asked(request, obj, form.cleaned_data, in_name_of=approval.asked_by)
    return page.record_deed(action, deed, lambda: action.apply(deed))


def find_deed(approval: Approval) -> tuple[StaffActionsAdmin[Any], StaffAction[Any]]:
    """Return the page and the action that an approval names. Raises ApprovalRefused."""
    for model, page in admin.site._registry.items():
        if model._meta.label_lower == approval.page and isinstance(page, StaffActionsAdmin):
            for action in page.staff_actions:
                if action.name == approval.action:
                    return page, action
    raise ApprovalRefused("The desk has no such action any more.")


def to_query(answers: dict[str, list[str]]) -> QueryDict:
    query = QueryDict(mutable=True)
    for name, values in answers.items():
        query.setlist(name, values)
    return query


def do_approve(asked: Asked[Approval]) -> str:
    if asked.obj.action == MAKE_CODES:
        return approve(
            asked.obj,
            by=asked.actor,
            carry_out=lambda: "Whoever asked can make the codes now, once.",
        )
    return approve(asked.obj, by=asked.actor, carry_out=lambda: carry_out(asked))


def do_refuse(asked: Asked[Approval]) -> str:
    refuse(asked.obj, by=asked.actor, reason=asked.reason)
    return "Refused. Nothing was done."


def do_withdraw(asked: Asked[Approval]) -> str:
    withdraw(asked.obj, by=asked.actor, reason=asked.reason)
    return "Withdrawn. Nothing was done."


def why_closed(approval: Approval) -> str:
    return "" if approval.is_open() else f"It is {approval.shown_state()} already."


APPROVE = StaffAction[Approval](
    name="approve",
    label="Approve",
    explanation="Does at once what was asked for, in the name of whoever asked. It takes somebody"
    " else than them, who may do such deeds.",
    apply=do_approve,
    refusal=why_closed,
    is_for_one=True,
    asks_again=True,
)
REFUSE = StaffAction[Approval](
    name="refuse",
    label="Refuse",
    explanation="Nothing is done, and it can't be approved any more.",
    apply=do_refuse,
    refusal=why_closed,
)
WITHDRAW = StaffAction[Approval](
    name="withdraw",
    label="Withdraw",
    explanation="Takes back what you asked for yourself.",
    apply=do_withdraw,
    refusal=why_closed,
)


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyWithActions[Approval]):
    """What somebody may not do alone, and who decided it."""

    matters = (OpenFilter.matter("Deeds that wait for a second person", "open"),)
    staff_actions = (APPROVE, REFUSE, WITHDRAW)
    list_display = (
        "label",
        "about",
        columns.number("worth_credits", "Worth (credits)"),
        "asked_by",
        "asked_at",
        "shown",
        "decided_by",
    )
    fields: ClassVar[Any] = (
        "label",
        "about",
        columns.number("worth_credits", "Worth (credits)"),
        "answered",
        "reason",
        "asked_by",
        "asked_at",
        "expires_at",
        "shown",
        "decided_by",
        "decided_at",
        "outcome",
    )
    list_select_related = ("asked_by", "decided_by")
    list_filter: ClassVar = (OpenFilter,)
    date_hierarchy = "asked_at"
    search_fields = ("asked_by__email", "=object_id", "label")

    def get_tools(self, request: HttpRequest, obj: Approval) -> Sequence[Tool]:
        """Lead whoever asked for codes to where they are made, once that was approved."""
        tools = super().get_tools(request, obj)
        is_mine = obj.asked_by_id == request.user.pk and obj.state == Approval.State.APPROVED
        if not (is_mine and obj.action == MAKE_CODES):
            return tools
        url = f"{reverse('admin:billing_codebatch_add')}?approval={obj.pk}"
        return [Tool("Make the codes", url, is_action=True), *tools]

    @admin.display(description="State", ordering="state")
    def shown(self, approval: Approval) -> str:
        state = approval.shown_state()
        return columns.state(state, TONES.get(state, "quiet"))

    @admin.display(description="About")
    def about(self, approval: Approval) -> str:
        for model in admin.site._registry:
            if model._meta.label_lower == approval.page and approval.object_id:
                found = model._default_manager.filter(pk=approval.object_id).first()
                return str(found or columns.NOTHING)
        return columns.NOTHING

    @admin.display(description="Answers")
    def answered(self, approval: Approval) -> str:
        return "; ".join(
            f"{name.replace('_', ' ')}: {', '.join(values)}"
            for name, values in approval.answers.items()
            if name != "once"
        )
