"""The desk's pages about people. API keys are in billing, because revoking one changes a wallet."""

from collections.abc import Sequence
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.formats import date_format
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from accounts.addresses import has_left
from accounts.audit import Change, read_said
from accounts.desk import columns
from accounts.desk.actions import Asked, StaffAction, StaffActionsAdmin
from accounts.desk.changes import say as say_value
from accounts.desk.facts import definitions
from accounts.desk.long_lists import AgeFilter, LongListAdmin
from accounts.desk.pages import DeskAdmin, ReadOnlyAdmin, SuperusersAdmin, Tool, link, list_tool
from accounts.desk.rights import say, with_models
from accounts.desk.roles import BY_NAME
from accounts.legal import publish
from accounts.models import (
    Agreement,
    AuditLine,
    Invitation,
    LegalText,
    Team,
    TeamEvent,
    User,
)
from accounts.reauthentication import ask_staff
from accounts.teams.members import own_team
from common.long_selects import LongCheckboxes
from common.markdown import show

LATEST = 10

# On Django's own page, staff who may change a group could give it, and themselves, any permission.
admin.site.unregister(Group)
# On allauth's own page, staff could add a verified address to any account, and so get into it.
admin.site.unregister(EmailAddress)
# Its own page shows secrets, and staff could add a factor of theirs to any account.
admin.site.unregister(Authenticator)
admin.site.unregister(UserSession)


class AddUserForm(AdminUserCreationForm[User]):
    """A new user, with an e-mail address that no user has in any spelling of case."""

    class Meta:
        model = User
        fields = ("email",)

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].lower()
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError("Somebody has this e-mail address already.")
        return email


@admin.register(User)
class UserAdmin(DeskAdmin[User], DjangoUserAdmin[User]):
    """People. Editable, because staff control who can log in; never deleted, because money belongs
    to them. Only the owner changes an address. Only superusers change powers over others.
    """

    asks_again = True
    add_form = AddUserForm
    fieldsets = (
        (None, {"fields": ("email", "state", "password")}),
        (
            "Access",
            {
                "fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions"),
                "description": "Only a superuser changes staff. To stop somebody's API calls,"
                " freeze the wallet or revoke the keys: this switch is about logging in.",
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("email", "usable_password", "password1", "password2"),
            },
        ),
    )
    list_display = ("email", "state", "is_staff", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    date_hierarchy = "date_joined"
    search_fields = ("email",)
    ordering = ("-pk",)
    # Django's two boxes can't be read by axe, or by who hears them.
    filter_horizontal = ()

    @admin.display(description="State", ordering="is_active")
    def state(self, user: User) -> str:
        if has_left(user):
            return columns.state("deleted", "quiet")
        return columns.state(*(("active", "good") if user.is_active else ("locked out", "bad")))

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        kwargs["widget"] = LongCheckboxes
        return in_words(super().formfield_for_manytomany(db_field, request, **kwargs))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        fields = ("email", "state", "last_login", "date_joined")
        if request.user.is_superuser:
            return fields
        return (*fields, "is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Let only superusers change staff: a new password would let others log in as them."""
        has_power = obj is not None and (obj.is_staff or obj.is_superuser)
        if has_power and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        """Let only superusers set a password; customers reset their own."""
        if not request.user.is_superuser:
            raise PermissionDenied
        if asked := ask_staff(request):
            return asked
        return super().user_change_password(request, id, form_url)

    def get_tools(self, request: HttpRequest, obj: User) -> Sequence[Tool]:
        team = own_team(obj)
        return (
            list_tool("Teams", "accounts_team", memberships__user__id__exact=obj.pk),
            list_tool("Wallet", "billing_wallet", team__id__exact=team.pk),
            list_tool("API keys", "accounts_apikey", created_by__id__exact=obj.pk),
            list_tool("Orders", "billing_order", buyer__id__exact=obj.pk),
            list_tool("Usage", "billing_usagerecord", wallet__team__id__exact=team.pk),
        )


@admin.register(Team)
class TeamAdmin(ReadOnlyAdmin[Team]):
    """Teams. Their members change them on their own pages."""

    list_display = ("__str__", "person", "public_id", "created_at", "state")
    list_select_related = ("person",)
    fields = ("name", "person", "public_id", "created_at", "state", "members", "latest")
    date_hierarchy = "created_at"
    search_fields = ("memberships__user__email", "name", "=public_id")
    links = (
        link("Wallet", "billing_wallet", team__id__exact="pk"),
        link("API keys", "accounts_apikey", team__id__exact="pk"),
        link("Orders", "billing_order", team__id__exact="pk"),
        link("Usage", "billing_usagerecord", wallet__team__id__exact="pk"),
        link("Events", "accounts_teamevent", team__id__exact="pk"),
        link("Invitations", "accounts_invitation", team__id__exact="pk"),
    )

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow the filter by member, which a user's page links to."""
        return lookup == "memberships__user__id__exact" or super().lookup_allowed(
            lookup, value, request
        )

    @admin.display(description="State", ordering="closed_at")
    def state(self, team: Team) -> str:
        if team.closed_at is None:
            return columns.state("open", "good")
        return columns.state(f"closed {date_format(team.closed_at)}", "quiet")

    @admin.display(description="Members")
    def members(self, team: Team) -> str:
        seats = team.memberships.select_related("user")
        return format_html_join(
            mark_safe("<br>"), "{}, {}", ((seat.user, seat.get_role_display()) for seat in seats)
        )

    @admin.display(description="Latest events")
    def latest(self, team: Team) -> str:
        events = team.events.select_related("actor", "member")[:LATEST]
        rows = (
            (f"{each.at:%Y-%m-%d %H:%M:%S}", each, each.member or "", changes_of(each))
            for each in events
        )
        return format_html_join(mark_safe("<br>"), "{} {} {} {}", rows)


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin[Invitation]):
    """Who was invited to a team. The link itself is not kept."""

    list_display = ("email", "team", "role", "invited_by", "created_at", "accepted_at")
    list_select_related = ("team__person", "invited_by")
    list_filter = ("role",)
    search_fields = ("email", "invited_by__email")
    fields = (
        *("team", "email", "role", "invited_by", "created_at", "expires_at"),
        *("accepted_at", "accepted_by", "revoked_at"),
    )


@admin.register(TeamEvent)
class TeamEventAdmin(ReadOnlyAdmin[TeamEvent]):
    """Who did what in a team."""

    list_display = ("at", "team", "actor", "action", "subject", "member")
    list_select_related = ("team__person", "actor", "member")
    list_filter = ("action",)
    date_hierarchy = "at"
    search_fields = ("team__memberships__user__email", "subject")
    fields = (
        *("at", "team", "actor", "action", "subject", "member", "invitation"),
        "changed",
    )

    @admin.display(description="What changed")
    def changed(self, event: TeamEvent) -> str:
        return changes_of(event)


@admin.register(Group)
class GroupAdmin(SuperusersAdmin[Group], DjangoGroupAdmin):
    """Roles of staff. Those that come with the product are made by code, and stay as they are."""

    asks_again = True
    list_display = ("name", "purpose")
    filter_horizontal = ()

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> tuple[str, ...]:
        return ("name", "purpose", "rights") if is_shipped(obj) else ("name", "permissions")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Group | None = None
    ) -> tuple[str, ...]:
        return ("purpose", "rights")

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_change_permission(request, obj) and not is_shipped(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        kwargs["widget"] = LongCheckboxes
        return in_words(super().formfield_for_manytomany(db_field, request, **kwargs))

    @admin.display(description="What for")
    def purpose(self, group: Group) -> str:
        return BY_NAME[group.name].purpose if is_shipped(group) else "A role of your own."

    @admin.display(description="What they may do")
    def rights(self, group: Group) -> str:
        words = sorted(map(say, with_models(group.permissions.all())))
        return format_html_join(mark_safe("<br>"), "{}", ((each,) for each in words))


def changes_of(event: TeamEvent) -> str:
    """Return what a deed in a team changed: each value before and after."""
    before, after = event.before, event.after
    return "; ".join(
        str(Change(name.replace("_", " "), say_value(before.get(name)), say_value(after.get(name))))
        for name in dict.fromkeys((*before, *after))
    )


def is_shipped(group: Group | None) -> bool:
    return group is not None and group.name in BY_NAME


def in_words(field: Any) -> Any:
    """Let a field that offers rights name them in words."""
    if field is not None and field.queryset.model is Permission:
        field.queryset = with_models(field.queryset)
        field.label_from_instance = say
    return field


@admin.register(EmailAddress)
class EmailAddressAdmin(ReadOnlyAdmin[EmailAddress]):
    """Addresses, and whether they were verified. Their owners change them on their own pages."""

    list_display = ("email", "user", "primary", "verified")
    list_filter = ("primary", "verified")
    list_select_related = ("user",)
    search_fields = ("email", "user__email")


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin[Authenticator]):
    """Second factors, without their secrets. A superuser deletes those of somebody who lost them
    and has shown who they are.
    """

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    asks_again = True
    search_fields = ("user__email",)
    fields = ("user", "type", "created_at", "last_used_at")

    def has_delete_permission(self, request: HttpRequest, obj: Authenticator | None = None) -> bool:
        return bool(request.user.is_superuser)


@admin.register(AuditLine)
class AuditLineAdmin(LongListAdmin[AuditLine]):
    """Who did what to what, from where, and what was before and after. Nobody changes it."""

    instant = "at"
    list_display = ("at", "who", "deed", "what", "said_in_words", "network")
    list_select_related = ("actor", "person__audit_key")
    list_filter = (AgeFilter,)
    search_fields = (
        *("=object_id", "=command", "=os_user", "=network", "deed"),
        *("actor__email", "person__email"),
    )
    search_help_text = (
        "An object's id, a command, a network, a deed, or the address of whoever did it, or whom it"
        " concerned."
    )
    fields = (
        "at",
        "who",
        "network",
        "deed",
        "model",
        "object_id",
        "what",
        "words",
        "why",
        "changed",
    )

    @admin.display(description="Who")
    def who(self, line: AuditLine) -> str:
        return str(line.actor) if line.actor else f"{line.command}, run by {line.os_user}"

    @admin.display(description="What")
    def what(self, line: AuditLine) -> str:
        return read_said(line).name

    @admin.display(description="In words")
    def said_in_words(self, line: AuditLine) -> str:
        return str(read_said(line))

    @admin.display(description="What came of it")
    def words(self, line: AuditLine) -> str:
        return read_said(line).words or columns.NOTHING

    @admin.display(description="Why")
    def why(self, line: AuditLine) -> str:
        return read_said(line).reason or columns.NOTHING

    @admin.display(description="What changed")
    def changed(self, line: AuditLine) -> str:
        each_one = (
            (each.name, f"{each.before or '–'} → {each.after or '–'}")
            for each in read_said(line).changes
        )
        return definitions(each_one)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin[LogEntry]):
    """What was done at this desk before there was an audit trail."""

    list_display = ("action_time", "user", "content_type", "object_repr", "get_change_message")
    list_filter = ("action_flag", "content_type")
    list_select_related = ("user", "content_type")
    date_hierarchy = "action_time"
    search_fields = ("user__email", "object_repr", "change_message")
    fields = ("action_time", "user", "content_type", "object_repr", "get_change_message")


def _publish(asked: Asked[LegalText]) -> str:
    text = publish(asked.obj)
    return f"Published version {text.version}."


PUBLISH = StaffAction[LegalText](
    name="publish",
    label="Publish",
    explanation="It is in force and public at once, and stays as it is. Whoever signs up or buys"
    " from now on agrees to it.",
    apply=_publish,
    refusal=lambda text: "It is published already." if text.version else "",
    is_for_one=True,
)


@admin.register(LegalText)
class LegalTextAdmin(StaffActionsAdmin[LegalText]):
    """Drafts are editable, because staff write them; what was published stays as it is."""

    staff_actions = (PUBLISH,)
    list_display = ("kind", "state", "created_at", "published_at")
    list_filter = ("kind",)
    fields = ("kind", "text", "text_de", "state", "preview", "preview_de")
    readonly_fields = ("state", "preview", "preview_de")

    @admin.display(description="State")
    def state(self, text: LegalText) -> str:
        return f"Version {text.version}" if text.version else "Draft, not public"

    @admin.display(description="As readers see it, as it was saved last")
    def preview(self, text: LegalText) -> str:
        return show(text.text).html

    @admin.display(description="The same in German")
    def preview_de(self, text: LegalText) -> str:
        return show(text.text_de).html

    def has_change_permission(self, request: HttpRequest, obj: LegalText | None = None) -> bool:
        is_draft = obj is None or obj.version is None
        return is_draft and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: LegalText | None = None) -> bool:
        is_draft = obj is not None and obj.version is None
        return is_draft and super().has_delete_permission(request, obj)


@admin.register(Agreement)
class AgreementAdmin(ReadOnlyAdmin[Agreement]):
    """Who agreed to which version, when, and at which occasion."""

    list_display = ("user", "text", "occasion", "reference", "agreed_at")
    list_filter = ("occasion",)
    list_select_related = ("user", "text")
    search_fields = ("user__email",)
