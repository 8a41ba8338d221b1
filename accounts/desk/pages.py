"""What all pages of the staff desk share.

A page is read-only unless its class says otherwise and why. Nothing is deleted in bulk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, Fieldset
from django.contrib.admin.utils import unquote
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.audit import MOST_CHARS, Said, read_said, write_line
from accounts.desk.changes import changes_of_forms, differences, snapshot
from accounts.desk.fields import name_fields, name_parts
from accounts.desk.paging import BriefPaginator
from accounts.desk.recording import doer_of
from accounts.desk.seen import Overtaken, demand_unchanged, fields_of
from accounts.models import AuditLine, User
from accounts.reauthentication import ask_staff, must_ask_again

M = TypeVar("M", bound=Model)

# Rows of so many people are found by an index; those of more would have to be sorted.
FEW = 10
# How many lines an object's history shows.
LATEST_LINES = 200
EDITED = "Changed"
CHECKBOX = (
    '<input type="checkbox" name="{}" value="{}" class="action-select"'
    ' aria-label="Select this object for an action - {}">'
)
# How the search fields end that name a person.
WHOSE = ("user__email", "buyer__email", "created_by__email")


@dataclass(frozen=True, slots=True)
class Tool:
    """A button at the top of an object's page. It leads to a page: GET changes nothing."""

    label: str
    url: str
    is_action: bool = False


def list_tool(label: str, model: str, /, **filters: str | int | UUID) -> Tool:
    """Return the button to a list, such as `billing_lot`, filtered by these look-ups.

    The model is given by name, because an app may link to an app that it must not import.
    """
    query = urlencode({name: str(value) for name, value in filters.items()})
    return Tool(label, f"{reverse(f'admin:{model}_changelist')}?{query}")


def link(label: str, model: str, /, **filters: str) -> Callable[[Any], Tool]:
    """Return what makes a button to a list, filtered by these fields of the object of the page."""
    return lambda obj: list_tool(
        label, model, **{name: attrgetter(path)(obj) for name, path in filters.items()}
    )


def section(title: str | None, *fields: Any, description: str = "") -> Any:
    """Return a group of fields of a page. Those in a tuple share a line."""
    return title, {"fields": fields, "description": description}


def folded(title: str, *fields: Any) -> Any:
    """Return a group of fields that is opened by its title."""
    return title, {"fields": fields, "classes": ("collapse",)}


def desk_page(request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    """Answer with a page inside the desk's frame."""
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})


def form_page(
    request: HttpRequest, template: str, form: forms.Form, **context: Any
) -> TemplateResponse:
    """Answer with a page that lays a form out as Django's admin does."""
    shown = [name for name in form.fields if not form[name].is_hidden]
    # It lays out any form; its stubs ask for a model's form.
    fieldset = Fieldset(cast(Any, form), fields=shown)
    return desk_page(request, template, form=form, fieldset=fieldset, **context)


@dataclass(frozen=True, slots=True)
class Matter:
    """Rows that wait for a person: counted on the desk's first page, which leads to their list."""

    label: str
    query: str
    condition: Q


def find_people(address: str) -> list[int]:
    """Return the ids of those whose address begins so, and one more than FEW at most."""
    found = User.objects.filter(email__startswith=address.strip().lower()).order_by("email")
    return list(found.values_list("pk", flat=True)[: FEW + 1])


class RowForm(forms.ModelForm[M]):
    """A row that is edited in its list. Errors of fields that the list lacks are shown above it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self)

    def add_error(self, field: str | None, error: Any) -> None:
        if field is None and hasattr(error, "error_dict"):
            shown: dict[str, list[ValidationError]] = {}
            for name, errors in error.error_dict.items():
                shown.setdefault(name if name in self.fields else NON_FIELD_ERRORS, []).extend(
                    errors
                )
            error = ValidationError(shown)
        super().add_error(field, error)


def refuse_in(form_class: type[forms.ModelForm[M]], why: str) -> type[forms.ModelForm[M]]:
    """Return a form that keeps what was typed, and refuses it."""

    class RefusingForm(form_class):  # type: ignore[valid-type,misc]
        def clean(self) -> Any:
            cleaned = super().clean()
            self.add_error(None, why)
            return cleaned

    return RefusingForm


def why_ask_again() -> str:
    """Return what a form says until the password was entered."""
    url = f"{reverse('account_reauthenticate')}?next={reverse('admin:index')}"
    text = (
        'Nothing was saved yet. <a href="{}" target="_blank">Enter your password</a>, then'
        " save again."
    )
    return format_html(text, url)


class DeskAdmin(admin.ModelAdmin[M]):
    """A page of the desk, with its buttons and its matters that wait for a person.

    Each of the `links` makes a button from the object of a page. An object is not deleted while
    it has rows in its relation `kept_by`. A form that gives power, or holds keys, `asks_again` for
    the password.
    """

    matters: ClassVar[Sequence[Matter]] = ()
    links: ClassVar[Sequence[Callable[[Any], Tool]]] = ()
    kept_by = ""
    asks_again = False
    empty_value_display = "–"
    list_per_page = 50
    paginator = BriefPaginator
    show_full_result_count = False
    # Each would count a whole table.
    show_facets = admin.ShowFacets.NEVER

    def action_checkbox(self, obj: M) -> SafeString:
        """Write what Django lets a template write for each row."""
        return format_html(CHECKBOX, ACTION_CHECKBOX_NAME, obj.pk, str(obj))

    def get_tools(self, request: HttpRequest, obj: M) -> Sequence[Tool]:
        """Return the buttons of this object's page."""
        return [make_tool(obj) for make_tool in self.links]

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        if obj is not None and self.kept_by and getattr(obj, self.kept_by).exists():
            return False
        return super().has_delete_permission(request, obj)

    def get_form(
        self, request: HttpRequest, obj: M | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[M]]:
        form = super().get_form(request, obj, change=change, **kwargs)
        for each in form.base_fields.values():
            if isinstance(each, forms.SplitDateTimeField):
                name_parts(each)
        if request.method != "POST":
            return form
        if self.asks_again and must_ask_again(request):
            return refuse_in(form, why_ask_again())
        if change and obj is not None and (why := self.why_overtaken(request, obj)):
            return refuse_in(form, why)
        return form

    def why_overtaken(self, request: HttpRequest, obj: M) -> str:
        """Return what somebody else changed since this page was opened; empty if nothing."""
        try:
            demand_unchanged(request, obj, self.deeds_that_matter())
        except Overtaken as error:
            return str(error)
        return ""

    def deeds_that_matter(self) -> set[str]:
        """Return the deeds here that whoever acts next should have seen."""
        return {EDITED}

    def construct_change_message(  # type: ignore[override]
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Said:
        """Return what a form changed, for the audit trail."""
        return Said(changes=changes_of_forms(form, formsets))

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self.record(request, obj, "Added", message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self.record(request, obj, EDITED, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            before = differences(snapshot(obj), {})
            self.record(request, obj, "Deleted", Said(changes=before))

    def record(
        self,
        request: HttpRequest,
        obj: Model,
        deed: str,
        said: Said | str,
        worth_credits: int | None = None,
    ) -> AuditLine:
        """Write a deed on this page into the audit trail."""
        facts = Said(words=said) if isinstance(said, str) else said
        named = replace(facts, name=str(obj)[:MOST_CHARS])
        return write_line(doer_of(request), deed, obj=obj, said=named, worth_credits=worth_credits)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what staff did to an object, from the audit trail."""
        obj = self.get_object(request, unquote(object_id))
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        if obj is None:
            raise Http404("There is no such object.")
        lines = AuditLine.objects.filter(model=self.opts.label_lower, object_id=str(obj.pk))
        shown = lines.select_related("actor", "person__audit_key")[:LATEST_LINES]
        return desk_page(
            request,
            "admin/history.html",
            title=f"History: {obj}",
            opts=self.opts,
            object=obj,
            lines=[(line, read_said(line)) for line in shown],
        )

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if self.asks_again and (asked := ask_staff(request)):
            return asked
        return super().delete_view(request, object_id, extra_context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[M], search_term: str
    ) -> tuple[QuerySet[M], bool]:
        """Find an address by its beginning, if it is that of a few people: there is an index."""
        owner = next((name for name in self.search_fields if name.endswith(WHOSE)), "")
        if owner and "@" in search_term:
            people = find_people(search_term)
            if 0 < len(people) <= FEW:
                found = queryset.filter(**{f"{owner.removesuffix('__email')}__in": people})
                # Several of them may be in one team.
                return found, "memberships" in owner
        return super().get_search_results(request, queryset, search_term)

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> type[forms.ModelForm[M]]:
        kwargs.setdefault("form", RowForm)
        return super().get_changelist_form(request, **kwargs)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj: M | None = context.get("original")
        if obj is not None:
            context["tools"] = self.get_tools(request, obj)
            context["seen"] = fields_of(request, [obj])
        return super().render_change_form(request, context, *args, **kwargs)


class SuperusersAdmin(DeskAdmin[M]):
    """A page that gives power over others: only superusers change it.

    A permission to change it would imply every other one.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return bool(request.user.is_superuser)

    has_delete_permission = has_change_permission


class ReadOnlyAdmin(DeskAdmin[M]):
    """A page that only shows, to superusers too."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    has_delete_permission = has_change_permission
