"""One search for the whole desk: whatever a customer tells leads to the thing that it names.

The text is posted, so that a key that was pasted stands in no address, log or history. What it may
be is told by its form, and each look-up is by an index, so that none is slow in a large shop.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q
from django.db.models.functions import Collate, Upper
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts.desk.pages import FEW, desk_page, find_people
from accounts.models import ApiKey, Team, User
from accounts.secrets import PREFIX, digest_of, hint_of, is_well_formed
from billing.gifts.redeem_codes import digest_of as digest_of_code
from billing.gifts.redeem_codes import normalize
from billing.models import (
    CodeBatch,
    Dispute,
    LedgerEntry,
    Order,
    PublicModel,
    RedeemCode,
    Refund,
    StripeCustomer,
    StripeEvent,
    UsageRecord,
    Wallet,
)

MOST_CHARS = 300
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
NAME = re.compile(r"[^@]{2,60}")
# Of an address, as much as is known of its beginning.
ADDRESS = re.compile(r"[^\s@]{2,}(?:@\S*)?")


@dataclass(frozen=True, slots=True)
class Finder:
    """Where a text of one form is looked up. `find` returns the condition, by an index."""

    model: type[Model]
    is_form: Callable[[str], object]
    find: Callable[[str], Q]
    related: tuple[str, ...] = ()


def starts(*prefixes: str) -> Callable[[str], bool]:
    return lambda term: term.startswith(prefixes)


def by(column: str) -> Callable[[str], Q]:
    return lambda term: Q(**{column: term})


def by_key(term: str) -> Q:
    digest = digest_of(term)
    return Q(digest=digest) | Q(previous_digest=digest)


def by_owner(term: str) -> Q:
    """Return the wallets of the people whose address is this, or of a few whose begins so."""
    address = term.strip().lower()
    exact = list(User.objects.filter(email=address).values_list("pk", flat=True))
    return Q(team__memberships__user__in=exact or find_people(address)[:FEW])


def by_team(term: str) -> Q:
    """Return the wallets of teams whose name begins so, in any case."""
    # As its index has them.
    folded = Team.objects.alias(folded=Collate(Upper("name"), "C")).exclude(name="")
    teams = folded.filter(folded__startswith=term.upper()).order_by()
    return Q(team__in=list(teams.values_list("pk", flat=True)[:FEW]))


def by_reference(term: str) -> Q:
    # The index of references begins with the kind.
    return Q(kind__in=LedgerEntry.Kind.values, reference=term)


FINDERS: tuple[Finder, ...] = (
    Finder(ApiKey, is_well_formed, by_key, ("team__person",)),
    Finder(Wallet, ADDRESS.fullmatch, by_owner, ("team__person",)),
    Finder(UsageRecord, NAME.fullmatch, by("request_id")),
    Finder(Order, UUID.fullmatch, by("public_id"), ("team__person",)),
    Finder(Refund, UUID.fullmatch, by("public_id"), ("order__team__person",)),
    Finder(Wallet, UUID.fullmatch, by("team__public_id"), ("team__person",)),
    Finder(Order, starts("cs_"), by("stripe_session_id"), ("team__person",)),
    Finder(Order, starts("pi_"), by("stripe_payment_intent_id"), ("team__person",)),
    Finder(Order, starts("ch_", "py_"), by("stripe_charge_id"), ("team__person",)),
    Finder(Refund, starts("re_", "pyr_"), by("stripe_refund_id"), ("order__team__person",)),
    Finder(Dispute, starts("dp_", "du_"), by("stripe_dispute_id")),
    Finder(StripeEvent, starts("evt_"), by("event_id")),
    Finder(StripeCustomer, starts("cus_"), by("stripe_customer_id"), ("wallet__team__person",)),
    Finder(RedeemCode, normalize, lambda term: Q(digest=digest_of_code(term)), ("batch",)),
    Finder(LedgerEntry, lambda term: ":" in term, by_reference),
    Finder(Wallet, NAME.fullmatch, by_team, ("team__person",)),
    Finder(PublicModel, NAME.fullmatch, by("name")),
    Finder(CodeBatch, NAME.fullmatch, by("name__iexact")),
)


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was found, and its page."""

    kind: str
    text: str
    url: str


def find(term: str, may_see: Callable[[type[Model]], bool]) -> list[Found]:
    """Return what a text names, among what may be seen: a few of each kind."""
    found: dict[tuple[type[Model], Any], Found] = {}
    for finder in FINDERS:
        if finder.is_form(term) and may_see(finder.model):
            rows = finder.model._default_manager.filter(finder.find(term))
            for row in rows.select_related(*finder.related).order_by("pk").distinct()[:FEW]:
                found.setdefault((finder.model, row.pk), _describe(row))
    return list(found.values())


def _describe(row: Model) -> Found:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return Found(str(row._meta.verbose_name), str(row), reverse(name, args=[row.pk]))


def show_search(request: HttpRequest) -> HttpResponse:
    """Lead to the one thing that is named (POST), or show the few; GET asks for a text."""
    term = request.POST.get("q", "").strip()[:MOST_CHARS].replace("\0", "")
    found = find(term, _sight_of(request)) if term else []
    if len(found) == 1:
        return HttpResponseRedirect(found[0].url)
    return desk_page(
        request,
        "admin/search.html",
        title="Search",
        # Of a key, even one with a typo, only what a page about it would show.
        term=hint_of(term) if term.startswith(PREFIX) else term,
        is_asked=bool(term),
        found=found,
    )


def _sight_of(request: HttpRequest) -> Callable[[type[Model]], bool]:
    """Return what tells whose pages this member of staff may see."""
    if not request.user.is_authenticated:
        raise PermissionDenied
    pages = admin.site._registry
    return lambda model: model in pages and pages[model].has_view_permission(request)


# What an order's id names in lists beside the order itself.
OF_ORDERS = (
    Finder(Refund, UUID.fullmatch, by("order__public_id")),
    Finder(Dispute, UUID.fullmatch, by("order__public_id")),
)


def named(model: type[Model], term: str) -> list[Any]:
    """Return the ids of the rows of one table that a text names, each by an index."""
    ids: list[Any] = []
    for finder in (*FINDERS, *OF_ORDERS):
        if finder.model is model and finder.is_form(term):
            rows = model._default_manager.filter(finder.find(term)).order_by("pk").distinct()
            ids += rows.values_list("pk", flat=True)[:FEW]
    return ids
