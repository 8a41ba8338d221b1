"""The staff desk: Django's admin, in the order of the work, with what waits for a person on top."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.text import slugify

from accounts.desk.limits import brief
from accounts.desk.masking import masked
from accounts.desk.pages import DeskAdmin, Matter
from billing.desk.front import describe_business, say_margin
from billing.desk.margin import show_margin
from billing.desk.search import show_search
from billing.desk.visits import end_visit, show_visit
from billing.margin.business import Business, Served
from proxy.models import Provider
from proxy.upstreams.providers.balances import read_accounts, say_balance, say_cost

# The groups of pages, in their order. A page that is not named here comes last.
GROUPS: dict[str, tuple[str, ...]] = {
    "Customers": ("User", "EmailAddress", "Authenticator", "SignIn", "ApiKey", "Wallet"),
    "Teams": ("Team", "Invitation", "TeamEvent"),
    "Sales": ("Order", "Refund", "Dispute", "Pack", "AmountOffer", "Promotion", "StripeEvent"),
    "Auto top-up": ("AutoTopUp", "TopUpConsent", "TopUpPayment", "StripeCustomer"),
    "Gifts": ("CodeBatch", "RedeemCode", "WelcomeCredit"),
    "Books": (
        "LedgerEntry",
        "Lot",
        "UsageRecord",
        "KeyWriteOff",
        "Debit",
        "ExchangeRate",
        "Export",
    ),
    "Models": ("PublicModel", "ModelPrice", "Route", "Provider", "ProviderKey"),
    "Mail": ("Notice", "NotificationSettings", "StatusSubscription"),
    "Desk": (
        *("InboxItem", "Approval", "Incident", "LegalText", "Agreement"),
        *("StaffNote", "AuditLine", "LogEntry", "Group"),
    ),
}


# The models whose waiting rows come first on the first page, in this order.
FIRST = ("InboxItem", "Approval", "Order", "StripeEvent", "Notice", "Wallet")


class StaffSite(AdminSite):
    """Django's admin site as the desk."""

    index_title = "Desk"
    empty_value_display = "–"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.site_header = f"{settings.SITE_NAME} desk"
        self.site_title = f"{settings.SITE_NAME} desk"
        # One slip in a list must not delete fifty rows.
        self.disable_action("delete_selected")

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Mask what a page shows, and limit how long it may keep the database busy."""
        return super().admin_view(masked(brief(view)), cacheable)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Log in on the site's own page, which limits attempts and asks for the second step."""
        if lacks_second_factor(request):
            messages.warning(request, "Staff set up a second step of logging in first.")
            return redirect("mfa_index")
        response: HttpResponse = secure_admin_login(super().login)(request, extra_context)
        return response

    def has_permission(self, request: HttpRequest) -> bool:
        """Let in staff who have a second factor, where it is required."""
        return bool(super().has_permission(request)) and not lacks_second_factor(request)

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Change the password on the site's own page, which limits attempts and sends a mail."""
        return redirect("account_change_password")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        matters = read_matters(self, request)
        business = describe_business(request)
        context = {**(extra_context or {}), "matters": matters, **business}
        if business and request.user.has_perm("proxy.view_provider"):
            context["providers"] = find_providers(business["business"])
        if request.user.has_perm("proxy.view_provideraccount"):
            context["accounts"] = [
                (each, say_balance(each), say_cost(each)) for each in read_accounts()
            ]
        return super().index(request, context)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Add the pages that are about no row."""
        return [
            path("margin/", self.admin_view(show_margin), name="margin"),
            path("search/", self.admin_view(show_search), name="search"),
            path("as/<int:member_id>/end/", self.admin_view(end_visit), name="end-visit"),
            path("as/<int:member_id>/<path:rest>", self.admin_view(show_visit), name="visit"),
            *super().get_urls(),
        ]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """Group the pages by the work that they serve, not by app."""
        if app_label is not None:
            return super().get_app_list(request, app_label)
        pages = [page for app in super().get_app_list(request) for page in app["models"]]
        named = {name for names in GROUPS.values() for name in names}
        rest = tuple(p["object_name"] for p in pages if p["object_name"] not in named)
        return [
            make_group(title, found)
            for title, names in {**GROUPS, "Other": rest}.items()
            if (found := pick(pages, names))
        ]


def find_providers(business: Business) -> list[tuple[Served, Provider | None, str]]:
    """Return how each provider did, with its row, if it still has one, and its margin."""
    rows = Provider.objects.in_bulk(
        [each.provider for each in business.providers], field_name="name"
    )
    return [(each, rows.get(each.provider), say_margin(each.margin)) for each in business.providers]


def lacks_second_factor(request: HttpRequest) -> bool:
    """Tell whether this is a member of staff who has to set up a second factor first."""
    user = request.user
    is_staff = user.is_authenticated and user.is_staff
    return bool(settings.STAFF_SECOND_FACTOR and is_staff and not is_mfa_enabled(user))


def pick(pages: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the pages of these models, in this order."""
    return sorted(
        (page for page in pages if page["object_name"] in names),
        key=lambda page: names.index(page["object_name"]),
    )


def make_group(title: str, pages: list[dict[str, Any]]) -> dict[str, Any]:
    """Shape a group as Django's templates expect an app."""
    slug = slugify(title)
    return {
        "name": title,
        "app_label": slug,
        "app_url": f"{reverse('admin:index')}#{slug}",
        "has_module_perms": True,
        "models": pages,
    }


def changelist_url(page: DeskAdmin[Any]) -> str:
    return reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist")


def describe_matter(page: DeskAdmin[Any], matter: Matter) -> dict[str, Any]:
    """Count a matter's rows, and lead to their list, or to the one row that waits."""
    rows = page.model._default_manager.filter(matter.condition)
    url, count = f"{changelist_url(page)}?{matter.query}", rows.count()
    if count == 1 and (sole := rows.first()) is not None:
        url = reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_change", args=[sole.pk])
    return {"label": matter.label, "url": url, "count": count}


def read_matters(site: AdminSite, request: HttpRequest) -> list[dict[str, Any]]:
    """Count the rows that wait for a person, on the pages that this one may see."""
    pages = {model.__name__: page for model, page in site._registry.items()}
    names = (*FIRST, *(name for name in pages if name not in FIRST))
    return [
        describe_matter(page, matter)
        for name in names
        if isinstance(page := pages[name], DeskAdmin) and page.has_view_permission(request)
        for matter in page.matters
    ]
