"""Staff actions: each has a reason, is confirmed on a page, done by a service, and recorded.

An action is started from a list's menu or from a button on an object's page. Both lead to the same
page, `do/<name>/?ids=…`: GET shows what would happen, POST does it and adds a line to the audit
trail for each object.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar, Generic, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path, reverse

from accounts.audit import Said
from accounts.desk.changes import differences, snapshot
from accounts.desk.pages import EDITED, DeskAdmin, M, ReadOnlyAdmin, Tool, form_page
from accounts.desk.seen import demand_unchanged, fields_of
from accounts.models import User
from accounts.reauthentication import ask_staff
from common.exceptions import DomainError

# Keeps the confirmation page readable and its address below 2,000 characters.
MOST_AT_ONCE = 100
# The button that shows what an action would change.
PREVIEW = "_preview"
# The field that says which preview was looked at.
SEAL = "_seal"


class ReasonForm(forms.Form):
    """The form of an action that asks for a reason only."""

    reason = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text="Kept with the record: who asked for it, and why.",
    )


@dataclass(frozen=True)
class Asked(Generic[M]):
    """One object that an action is applied to, with what the confirmation page was given."""

    request: HttpRequest
    obj: M
    answers: dict[str, Any]
    # Who asked for what somebody else now approves.
    in_name_of: User | None = None

    @property
    def reason(self) -> str:
        return str(self.answers["reason"])

    @property
    def actor(self) -> User:
        """The member of staff whose deed it is; the desk lets nobody else in."""
        return self.in_name_of or cast(User, self.request.user)

    def check_seal(self, basis: object) -> None:
        """Refuse a deed that would differ from its preview. Raises PreviewOutdated.

        Call it once what the deed is worked out of is locked.
        """
        seals = self.request.POST.get(SEAL, "").split()
        if seals and seal_of(self.obj.pk, basis) not in seals:
            raise PreviewOutdated(CHANGED)


@dataclass(frozen=True, slots=True)
class Done:
    """What an action did, in the past tense, and what it is worth if that is limited."""

    text: str
    worth_credits: int | None = None
    # In the audit trail, if it is not the action's label.
    deed: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action would change: a table above its form. The first column names the row.

    What is done after it must come of the same `basis`, told by each object's id.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    basis: Mapping[int, object] = field(default_factory=dict)

    @property
    def seal(self) -> str:
        return " ".join(seal_of(pk, each) for pk, each in sorted(self.basis.items()))


class PreviewOutdated(DomainError):
    """What a preview showed is not what would be done now."""


def seal_of(pk: int, basis: object) -> str:
    return hashlib.sha256(f"{pk} {basis!r}".encode()).hexdigest()[:32]


CHANGED = "It has changed since you looked. Nothing was done: look at it once more."
UNSEEN = "Nothing was done yet: look at what would change, then do it."


def never_refused(obj: Model) -> str:
    return ""


@dataclass(frozen=True)
class StaffAction(Generic[M]):
    """An action that staff may apply to an object.

    `apply` calls a service and says what was done, in the past tense; `refusal` says why an object
    can't be acted on, or nothing. An action that talks to the network must not be `is_atomic`. An
    action whose form shows an object's present values, to be changed, must be `is_for_one`:
    otherwise its unchanged fields would overwrite those of the other objects. `get_options`
    returns what its form is made with, besides the answers. Whoever opened a page before a
    colleague's deed is told of it, unless that was `is_harmless`. Who may change the objects may
    act on them, unless the action names another `permission`. What moves money, or gives power,
    `asks_again` for the password.
    """

    name: str
    label: str
    explanation: str
    apply: Callable[[Asked[M]], str]
    permission: str = ""
    refusal: Callable[[M], str] = never_refused
    form_class: type[ReasonForm] = ReasonForm
    get_initial: Callable[[Sequence[M]], dict[str, Any]] = lambda objects: {}
    get_options: Callable[[M], dict[str, Any]] = lambda obj: {}
    # What it would change, for a second button of the page that changes nothing.
    preview: Callable[[HttpRequest, Sequence[M], dict[str, Any]], Preview] | None = None
    # Whether nothing is done that was not looked at before.
    must_be_seen: bool = False
    # What staff should know about an object before they confirm.
    get_note: Callable[[M], str] = lambda obj: ""
    # Whose columns are compared, for the audit trail.
    get_changed: Callable[[M], Model] = lambda obj: obj
    # Where to go once it was done to one object, if not to its page.
    get_next: Callable[[Asked[M]], str] | None = None
    is_for_one: bool = False
    is_atomic: bool = True
    asks_again: bool = False
    # Nothing of it matters to who acts next.
    is_harmless: bool = False

    @property
    def has_preview(self) -> bool:
        """Tell a template, which would call `preview` itself, whether there is one."""
        return self.preview is not None

    @property
    def deeds(self) -> tuple[str, ...]:
        """Return how the trail names what it does."""
        return (self.label,)

    @property
    def most(self) -> int:
        """Return how many objects the action may be applied to at once."""
        return 1 if self.is_for_one else MOST_AT_ONCE

    def make_form(
        self, objects: Sequence[M], answers: QueryDict | None, files: Any = None
    ) -> ReasonForm:
        """Return the form that asks for what the action needs, filled in if it was answered."""
        options = self.get_options(objects[0]) if self.is_for_one else {}
        if answers is not None:
            return self.form_class(answers, files, **options)
        return self.form_class(initial=self.get_initial(objects), **options)

    def look_ahead(
        self, request: HttpRequest, objects: Sequence[M], form: ReasonForm
    ) -> Preview | None:
        """Return what the action would change, if that can be told.

        It is told if it was asked for, or if what was looked at before is not what would be done.
        """
        is_asked, seal = PREVIEW in request.POST, request.POST.get(SEAL, "")
        if self.preview is None or not (is_asked or seal or self.must_be_seen):
            return None
        if is_asked:
            # Nothing is done, so no reason is needed yet.
            form.fields["reason"].required = False
        if not form.is_valid():
            return None
        try:
            preview = self.preview(request, objects, form.cleaned_data)
        except DomainError as error:
            form.add_error(None, str(error))
            return None
        if not is_asked:
            if preview.seal == seal:
                return None
            form.add_error(None, CHANGED if seal else UNSEEN)
        return preview

    def run(self, asked: Asked[M]) -> Done:
        """Act on one object."""
        return Done(self.apply(asked))

    def start(
        self, page: "StaffActionsAdmin[M]", request: HttpRequest, queryset: QuerySet[M]
    ) -> HttpResponse | None:
        """Lead from the list's menu to the confirmation page."""
        ids = list(queryset.values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        if len(ids) > self.most:
            text = (
                "Choose one at a time."
                if self.is_for_one
                else f"Choose at most {self.most} at once."
            )
            page.message_user(request, text, messages.ERROR)
            return None
        return HttpResponseRedirect(page.get_action_url(self.name, ids))

    def guard(self) -> AbstractContextManager[None]:
        """Act and record in one transaction, unless the action waits for the network."""
        return transaction.atomic() if self.is_atomic else nullcontext()


class StaffActionsAdmin(DeskAdmin[M]):
    """A page whose objects can be acted on."""

    staff_actions: ClassVar[tuple[StaffAction[Any], ...]] = ()

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_do"
        view = self.admin_site.admin_view(self.confirm_view)
        return [path("do/<slug:name>/", view, name=name), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Fill the list's menu; empty in the pop-up that picks an object for another page."""
        if IS_POPUP_VAR in request.GET:
            return {}
        return {a.name: (a.start, a.name, a.label) for a in self.get_allowed_actions(request)}

    def get_allowed_actions(self, request: HttpRequest) -> list[StaffAction[M]]:
        return [action for action in self.staff_actions if self.is_allowed(request, action)]

    def is_allowed(self, request: HttpRequest, action: StaffAction[M]) -> bool:
        change = f"{self.opts.app_label}.change_{self.opts.model_name}"
        return request.user.has_perm(action.permission or change)

    def get_tools(self, request: HttpRequest, obj: M) -> Sequence[Tool]:
        tools = [
            Tool(action.label, self.get_action_url(action.name, [obj.pk]), is_action=True)
            for action in self.get_allowed_actions(request)
            if not action.refusal(obj)
        ]
        return [*tools, *super().get_tools(request, obj)]

    def get_action_url(self, name: str, ids: Sequence[int]) -> str:
        url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_do", args=[name])
        return f"{url}?ids={','.join(map(str, ids))}"

    def confirm_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Show what the action would do (GET), do it (POST)."""
        action = self.find_action(name)
        if not (self.has_view_permission(request) and self.is_allowed(request, action)):
            raise PermissionDenied
        if action.asks_again and (asked := ask_staff(request)):
            return asked
        objects = self.read_selection(request, most=action.most)
        answers = request.POST if request.method == "POST" else None
        form = action.make_form(objects, answers, request.FILES)
        preview = action.look_ahead(request, objects, form)
        if request.method == "POST" and PREVIEW not in request.POST and form.is_valid():
            asked_all = [Asked(request, obj, form.cleaned_data) for obj in objects]
            done = [asked for asked in asked_all if self.carry_out(action, asked)]
            if action.get_next and len(objects) == len(done) == 1:
                return HttpResponseRedirect(action.get_next(done[0]))
            return HttpResponseRedirect(self.get_return_url(objects))
        return form_page(
            request,
            "admin/confirm_action.html",
            form,
            title=action.label,
            opts=self.opts,
            action=action,
            preview=preview,
            seal=preview.seal if preview else request.POST.get(SEAL, ""),
            objects=[(obj, action.refusal(obj), action.get_note(obj)) for obj in objects],
            seen=fields_of(request, objects),
            return_url=self.get_return_url(objects),
        )

    def find_action(self, name: str) -> StaffAction[M]:
        for action in self.staff_actions:
            if action.name == name:
                return action
        raise Http404(f"There is no action {name!r} here.")

    def read_selection(self, request: HttpRequest, *, most: int) -> list[M]:
        """Return the objects that the address names; all of them must exist."""
        ids = request.GET.get("ids", "").split(",")
        if not all(text.isdecimal() and len(text) < 19 for text in ids) or len(ids) > most:
            raise Http404("The address names no objects.")
        objects = list(self.get_queryset(request).filter(pk__in=ids))
        if len(objects) != len(set(map(int, ids))):
            raise Http404("Some of these don't exist.")
        return objects

    def carry_out(self, action: StaffAction[M], asked: Asked[M]) -> bool:
        """Act on one object and record it; tell whether it was done.

        A refusal becomes a message and stops no others.
        """
        level, text = messages.ERROR, action.refusal(asked.obj)
        if not text:
            try:
                text = self.record_deed(action, asked, lambda: action.run(asked))
                level = messages.SUCCESS
            except DomainError as error:
                text = str(error) or str(type(error).__doc__)
        self.message_user(asked.request, f"{asked.obj}: {text}", level)
        return level == messages.SUCCESS

    def record_deed(
        self, action: StaffAction[M], asked: Asked[M], act: Callable[[], Done | str]
    ) -> str:
        """Do something and write it into the audit trail, in one transaction."""
        changed = action.get_changed(asked.obj)
        with action.guard():
            demand_unchanged(asked.request, asked.obj, self.deeds_that_matter())
            before = snapshot(changed)
            answer = act()
            done = Done(answer) if isinstance(answer, str) else answer
            changes = differences(before, snapshot(changed))
            said = Said(words=done.text, reason=asked.reason, changes=changes)
            self.record(
                asked.request,
                asked.obj,
                done.deed or action.label,
                said,
                worth_credits=done.worth_credits,
            )
        return done.text

    def deeds_that_matter(self) -> set[str]:
        """Return the deeds here that whoever acts next should have seen."""
        deeds = (each.deeds for each in self.staff_actions if not each.is_harmless)
        return {EDITED, *chain.from_iterable(deeds)}

    def get_return_url(self, objects: Sequence[M]) -> str:
        base = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        if len(objects) == 1:
            return reverse(f"{base}_change", args=[objects[0].pk])
        return reverse(f"{base}_changelist")


def deeds_of(request: HttpRequest, obj: Model) -> list[Tool]:
    """Return the buttons of what may be done to an object now, for a row of another's page."""
    page = admin.site._registry.get(type(obj))
    if not isinstance(page, DeskAdmin) or not page.has_view_permission(request, obj):
        return []
    return [tool for tool in page.get_tools(request, obj) if tool.is_action]


class ReadOnlyWithActions(StaffActionsAdmin[M], ReadOnlyAdmin[M]):
    """A page that changes through its actions alone."""
