"""Codes and welcome credits: what was given without a payment."""

import csv
import io
from datetime import datetime, time
from typing import Any, ClassVar
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from accounts.desk.filters import ConditionFilter
from accounts.desk.pages import ReadOnlyAdmin, form_page, link
from accounts.models import User
from accounts.reauthentication import ask_staff
from billing.admin.limited import MAKE_CODES, answers_of
from billing.approvals.decisions import Wish, ask_approval
from billing.approvals.limits import why_beyond
from billing.exceptions import BatchExists
from billing.gifts.redeem_codes import (
    MAX_BATCH,
    BatchTerms,
    digest_of,
    make_batch,
    normalize,
    revoke_batch,
)
from billing.models import Approval, CodeBatch, RedeemCode, WelcomeCredit
from common.credits import MAX_CREDITS
from common.downloads import as_download


class BatchForm(forms.Form):
    """The terms of a new batch. Because of `once`, a second press of the button makes nothing."""

    name = forms.CharField(max_length=60, help_text="For staff: the occasion.")
    size = forms.IntegerField(label="How many codes", min_value=1, max_value=MAX_BATCH)
    credits = forms.IntegerField(label="Credits of each", min_value=1, max_value=MAX_CREDITS)
    last_day = forms.DateField(
        label="Last day",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Until the end of this day, UTC, the codes work. Empty: for ever.",
    )
    lot_days = forms.IntegerField(
        label="Credits valid for days",
        required=False,
        min_value=1,
        max_value=36_500,
        help_text="From the redemption. Empty: for ever.",
    )
    is_promotional = forms.BooleanField(
        label="Promotional",
        required=False,
        initial=True,
        help_text="Spent before what the customer paid for.",
    )
    is_one_each = forms.BooleanField(
        label="One each",
        required=False,
        initial=True,
        help_text="A customer can redeem one code of this batch.",
    )
    once = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)

    def clean_last_day(self) -> Any:
        day = self.cleaned_data["last_day"]
        if day and day < timezone.now().date():
            raise forms.ValidationError("This day is over.")
        return day

    def terms(self) -> BatchTerms:
        """Return what was asked for. The form must be valid."""
        day = self.cleaned_data["last_day"]
        return BatchTerms(
            name=self.cleaned_data["name"],
            credits=self.cleaned_data["credits"],
            size=self.cleaned_data["size"],
            expires_at=timezone.make_aware(datetime.combine(day, time.max)) if day else None,
            lot_days=self.cleaned_data["lot_days"],
            is_promotional=self.cleaned_data["is_promotional"],
            is_one_each=self.cleaned_data["is_one_each"],
        )


def find_answers(request: HttpRequest) -> dict[str, Any]:
    """Return what the form begins with: the answers of what was approved, if that is named."""
    number = request.GET.get("approval", "")
    if not (number.isdecimal() and len(number) < 19):
        return {}
    found = Approval.objects.filter(
        pk=number, action=MAKE_CODES, asked_by=request.user.pk, state=Approval.State.APPROVED
    ).first()
    return {name: values[-1] for name, values in found.answers.items()} if found else {}


def find_approved(user: User, once: Any, terms: BatchTerms) -> bool:
    """Tell whether a second person approved these codes, or more of them."""
    return Approval.objects.filter(
        action=MAKE_CODES,
        press=once,
        asked_by=user,
        state=Approval.State.APPROVED,
        worth_credits__gte=terms.size * terms.credits,
    ).exists()


def revoke(asked: Asked[CodeBatch]) -> str:
    return "Revoked." if revoke_batch(asked.obj) else "It was revoked already."


REVOKE = StaffAction[CodeBatch](
    name="revoke",
    label="Revoke",
    explanation="The codes that nobody redeemed yet stop working at once and for good. What was"
    " redeemed stays with its customers.",
    apply=revoke,
    refusal=lambda batch: "It is revoked already." if batch.revoked_at else "",
)


@admin.register(CodeBatch)
class CodeBatchAdmin(ReadOnlyWithActions[CodeBatch]):
    """A batch is made once with all its codes, which only the answer to that request contains."""

    staff_actions = (REVOKE,)
    list_display = (
        "name",
        columns.number("credits", "Credits each"),
        columns.number("size", "Codes"),
        columns.number("redeemed", "Redeemed"),
        "expires_at",
        "state",
        "created_by",
        "created_at",
    )
    fields: ClassVar[Any] = (
        "name",
        columns.number("credits", "Credits each"),
        columns.number("size", "Codes"),
        columns.number("redeemed", "Redeemed"),
        "expires_at",
        "lot_days",
        "is_promotional",
        "is_one_each",
        "state",
        "created_by",
        "created_at",
        "revoked_at",
    )
    list_select_related = ("created_by",)
    date_hierarchy = "created_at"
    search_fields = ("name",)
    links = (link("Codes", "billing_redeemcode", batch__id__exact="pk"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CodeBatch]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                size=Count("codes"),
                redeemed=Count("codes", filter=Q(codes__redeemed_at__isnull=False)),
            )
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Let staff make codes who may also grant credits, because both have the same effect."""
        return request.user.has_perms(("billing.add_codebatch", "billing.add_ledgerentry"))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask for the terms (GET), make the batch and answer with its codes (POST)."""
        if not self.has_add_permission(request) or not isinstance(request.user, User):
            raise PermissionDenied
        if asked := ask_staff(request):
            return asked
        form = BatchForm(request.POST or None, initial=find_answers(request))
        if request.method != "POST" or not form.is_valid():
            template = "admin/billing/codebatch/make.html"
            return form_page(request, template, form, title="Make codes", opts=self.opts)
        try:
            with transaction.atomic():
                return self.make(request, request.user, form)
        except BatchExists as refusal:
            self.message_user(request, str(refusal), messages.WARNING)
            return HttpResponseRedirect(reverse("admin:billing_codebatch_changelist"))

    def make(self, request: HttpRequest, user: User, form: BatchForm) -> HttpResponse:
        """Make the batch, or ask for it if it is more than one person may do."""
        terms, once = form.terms(), form.cleaned_data["once"]
        worth: int | None = terms.size * terms.credits
        if find_approved(user, once, terms):
            worth = None
        elif why := why_beyond(user, terms.size * terms.credits):
            return self.ask(request, user, form, why)
        batch, codes = make_batch(terms, actor=user, once=once)
        text = f"Made {len(codes):,} codes of {batch.credits:,} credits."
        self.record(request, batch, "Made codes", text, worth_credits=worth)
        return export(batch, codes)

    def ask(self, request: HttpRequest, user: User, form: BatchForm, why: str) -> HttpResponse:
        """Ask a second person, who lets the same form make the codes once."""
        terms = form.terms()
        wish = Wish(
            page="billing.codebatch",
            action=MAKE_CODES,
            object_id="",
            press=form.cleaned_data["once"],
            answers=answers_of(request.POST),
            label=f"Make {terms.size:,} codes of {terms.credits:,} credits",
            reason=terms.name,
            worth_credits=terms.size * terms.credits,
        )
        approval = ask_approval(wish, by=user)
        text = f"Nothing was made yet. {why} A second person has been asked to approve it."
        self.record(request, approval, "Asked for: Make codes", text)
        self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(reverse("admin:billing_approval_change", args=[approval.pk]))

    @admin.display(description="State")
    def state(self, batch: CodeBatch) -> str:
        if batch.revoked_at:
            return columns.state("revoked", "quiet")
        if batch.expires_at and batch.expires_at <= timezone.now():
            return columns.state("expired", "quiet")
        return columns.state("open", "good")


def export(batch: CodeBatch, codes: list[str]) -> HttpResponse:
    """Answer with the codes as a file; they are in this answer only."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["Code", "Credits", "Last day"])
    last_day = f"{batch.expires_at:%Y-%m-%d}" if batch.expires_at else ""
    writer.writerows([code, batch.credits, last_day] for code in codes)
    answer = as_download(
        file.getvalue(), name=f"codes-{batch.pk}.csv", content_type="text/csv; charset=utf-8"
    )
    answer["Cache-Control"] = "no-store"
    return answer


class CodeStateFilter(ConditionFilter):
    title = "state"
    conditions = {
        "redeemed": ("Redeemed", Q(redeemed_at__isnull=False)),
        "open": ("Not redeemed", Q(redeemed_at=None)),
    }


@admin.register(RedeemCode)
class RedeemCodeAdmin(ReadOnlyAdmin[RedeemCode]):
    """Single codes. Searching for a whole code finds it, though only its digest is kept."""

    list_display = ("__str__", "batch", "redeemed_by", "redeemed_at")
    fields = ("hint", "batch", "redeemed_by", "redeemed_at")
    list_select_related = ("batch", "redeemed_by")
    list_filter: ClassVar = (CodeStateFilter,)
    search_fields = ("=hint", "batch__name", "redeemed_by__email")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RedeemCode], search_term: str
    ) -> tuple[QuerySet[RedeemCode], bool]:
        if normalize(search_term):
            return queryset.filter(digest=digest_of(search_term)), False
        return super().get_search_results(request, queryset, search_term)


class WelcomeFilter(ConditionFilter):
    title = "answer"
    conditions = {
        "given": ("Given", Q(refusal="")),
        "refused": ("Refused", ~Q(refusal="")),
    }


@admin.register(WelcomeCredit)
class WelcomeCreditAdmin(ReadOnlyAdmin[WelcomeCredit]):
    """Who got a welcome credit, and who did not and why. Customers are not told of a refusal."""

    list_display: Any = (
        "user",
        "address",
        "network",
        "answer",
        columns.number("credits", "Credits"),
        "created_at",
    )
    fields = list_display
    list_select_related = ("user",)
    list_filter: ClassVar = (WelcomeFilter, "refusal")
    date_hierarchy = "created_at"
    search_fields = ("user__email", "address", "network")

    @admin.display(description="Answer")
    def answer(self, welcome: WelcomeCredit) -> str:
        if welcome.refusal:
            return columns.state(welcome.get_refusal_display(), "waiting")
        return columns.state("given", "good")
