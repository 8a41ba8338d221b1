"""Put what would run as a script into every text that a shop stores. Runs inside the product.

Every column of every table is filled, so a new one is tried without a word here; those are left
out whose texts only the product or Stripe makes.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.fields import ArrayField
from django.db import DatabaseError, connection, transaction
from django.db.models import CharField, EmailField, Field, JSONField, Model, SlugField, TextField
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts.legal import publish
from accounts.models import ApiKey, LegalText, User
from accounts.teams.members import own_seat
from billing.gifts.redeem_codes import BatchTerms, make_batch, redeem
from billing.ledger.wallets import wallet_of
from billing.models import (
    AutoTopUp,
    InboxItem,
    Notice,
    Order,
    Promotion,
    StatusSubscription,
    StripeEvent,
    UsageRecord,
    Wallet,
    Webhook,
    WebhookDelivery,
)
from billing.notices.composing import compose
from billing.notices.webhooks.deliveries import write_test
from billing.notices.webhooks.switches import Choice, make_webhook
from billing.orders.refunds import refund_amount
from billing.top_ups.agreement import Terms, agree
from proxy.models import Incident, IncidentUpdate, Provider, ProviderAccount

APPS = {"accounts", "billing", "proxy", "account", "mfa", "usersessions", "admin", "auth"}
# Made by the product, Stripe or Django, looked things up by, and shaped so that nothing else fits.
MACHINE_MADE = {
    "auth.Permission",
    "accounts.User.password",
    "usersessions.UserSession.session_key",
    "accounts.ApiKey.digest",
    "accounts.ApiKey.previous_digest",
    "billing.RedeemCode.digest",
    "billing.UsageRecord.request_id",
    "billing.UsageRecord.income_micros",
    "billing.LedgerEntry.sold_for",
    "billing.Notice.reference",
    "billing.WelcomeCredit.address",
    "billing.WebhookDelivery.reference",
}
PREFIXES_OF_IDS = ("stripe_", "event_id", "currency", "encrypted")
LONG = (
    "'\"></title></textarea></script><svg/onload=hit()><img src=x onerror=hit()>"
    "<a href=javascript:hit()>a</a>\" onmouseover=hit() ';hit();'"
    "{{{{7777*7}}}}{{% debug %}}${{hit()}}{}"
)
SHORT = '"><svg/onload=hit()>{}'
SHORTEST = "<b id=hit>{}"
# A local part may be quoted, and then holds nearly anything.
EMAIL = '"<img/src=x/onerror=hit()>{}"@x.example'
URL = "javascript:hit()//{}"
# What a mail of any kind may say, as strings of strangers where it is one.
NUMBERS = dict.fromkeys(
    (
        *(
            "credits",
            "bonus_credits",
            "amount_cents",
            "refunded_cents",
            "clawed_back_credits",
            "posted_credits",
        ),
        *("threshold_credits", "remaining_credits", "spent_credits", "usual_credits"),
        *("worth_credits", "key_id", "approval_id", "webhook_id", "export_id", "rows_written"),
        *("charged_credits", "before_credits", "requests"),
    ),
    1_000,
)
INSTANTS = dict.fromkeys(
    (
        *("at", "expires_at", "previous_expires_at", "failing_since"),
        *("started_at", "resolved_at"),
    ),
    "2026-03-02T12:00:00+00:00",
)
WORDS = (
    *("pack_name", "name", "hint", "previous_hint", "device_name", "address", "source", "change"),
    *("new_email", "old_email", "reason", "checkout_url", "team_name", "inviter", "role"),
    *("deed", "person", "host", "title", "impact", "subscription", "language"),
)


def prepare(email: str) -> None:
    """Make a row of what a customer's clicks have not made by themselves."""
    user = User.objects.get(email=email)
    clerk = User.objects.filter(is_superuser=True).earliest("pk")
    order = Order.objects.filter(buyer=user, fulfilled_at__isnull=False).latest("pk")
    refund_amount(order, amount_cents=1, actor=clerk, reason="Too dear")
    slug = order.pack.slug if order.pack else ""
    agree(own_seat(user), Terms(slug, order.currency, 1_000, 9_000), address="192.0.2.7")
    AutoTopUp.objects.filter(wallet__team__person=user).update(
        card_label="Visa 4242", off_detail="x"
    )
    terms = BatchTerms(name="Fair", credits=250_000, size=1)
    _, codes = make_batch(terms, actor=clerk, once=order.public_id)
    redeem(own_seat(user), codes[0], address="192.0.2.7")
    LogEntry.objects.create(
        user=clerk,
        content_type=ContentType.objects.get_for_model(Order),
        object_id=str(order.pk),
        object_repr="x",
        action_flag=2,
        change_message="Refunded: too dear",
    )
    Promotion.objects.create(
        name="x",
        title="x",
        title_de="x",
        text="x",
        text_de="x",
        bonus_percent=1,
        ends_at=timezone.now() + timedelta(days=1),
        is_shown=True,
    )
    for kind in ("imprint", "security"):
        publish(LegalText.objects.create(kind=kind, text="x", text_de="x"))
    LegalText.objects.create(kind="imprint", text="x")
    ProviderAccount.objects.get_or_create(
        provider=Provider.objects.earliest("pk"), defaults={"shape": "openai"}
    )
    incident = Incident.objects.create(title="x", title_de="x", impact="slow")
    IncidentUpdate.objects.create(
        incident=incident, state="looking", text="x", text_de="x", said_by=clerk
    )
    hook, _ = make_webhook(own_seat(user), Choice("https://example.com/x", "json", (), 1_000))
    write_test(hook)
    StatusSubscription.objects.create(address="x@x.example", language="en", model_names=["x"])
    InboxItem.objects.create(kind="x", reference="1", summary="x", detail={"who": "x"})
    Authenticator.objects.create(
        user=user, type="webauthn", data={"name": "x", "credential": {}}, created_at=timezone.now()
    )


def mails(email: str) -> dict[str, list[str]]:
    """Compose a mail of each kind whose every word is a stranger's: subject and HTML."""
    user = User.objects.get(email=email)
    # Not saved: only these mails are to have it.
    user.email = EMAIL.format("")
    words = {name: LONG.format(name) for name in WORDS}
    lists = {"keys": [LONG.format("k")], "addresses": [LONG.format("a")]}
    facts = {
        **words,
        **NUMBERS,
        **INSTANTS,
        "order_id": str(Order.objects.filter(buyer=user).earliest("pk").public_id),
        "currency": "usd",
        "state": "opened",
        "has_receipt": True,
        "ended": {**lists, "sessions": 1, "factors": 1},
        "month": "2026-02",
        "by_model": [{"name": LONG.format("m"), "charged_credits": 5}],
        "by_key": [{"name": LONG.format("k"), "hint": LONG.format("h"), "charged_credits": 5}],
        "orders": [{"currency": "usd", "amount_cents": 5, "credits": 5}],
        "refunds": [{"amount_cents": 500, "currency": "usd"}],
        "model_names": [LONG.format("n")],
        "updates": [{"state": LONG.format("s"), "text": LONG.format("t")}],
    }
    composed = {}
    for kind in Notice.Kind.values:
        mail = compose(Notice(pk=1, user=user, kind=kind, facts=facts, address=user.email))
        composed[kind] = [str(mail.subject), str(mail.alternatives[0][0])]
    return composed


def plant() -> dict[str, str]:
    """Fill every text of every row. Returns what was filled, by the mark that its text ends in."""
    planted: dict[str, str] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        # What the product may only add to is filled, too.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for model in apps.get_models():
            if model._meta.app_label in APPS:
                for field in _texts(model):
                    mark = f"zq{len(planted)}q"
                    if _fill(model, field, mark):
                        planted[mark] = _name(model, field)
    return planted


def _texts(model: type[Model]) -> Iterator[Field[Any, Any]]:
    for field in model._meta.concrete_fields:
        kind = field.base_field if isinstance(field, ArrayField) else field
        is_text = isinstance(kind, (CharField, TextField, JSONField))
        is_made = {model._meta.label, _name(model, field)} & MACHINE_MADE
        if not is_text or is_made or isinstance(field, SlugField) or field.choices:
            continue
        if not field.name.startswith(PREFIXES_OF_IDS):
            yield field


def _name(model: type[Model], field: Field[Any, Any]) -> str:
    return f"{model._meta.label}.{field.name}"


def _fill(model: type[Model], field: Field[Any, Any], mark: str) -> bool:
    """Fill a column, row by row. False if no row takes it."""
    filled = False
    for row in model._default_manager.order_by("pk"):
        value = _value(field, getattr(row, field.attname), f"{mark}{row.pk}")
        if value is None:
            continue
        try:
            with transaction.atomic():
                model._default_manager.filter(pk=row.pk).update(**{field.name: value})
                filled = True
        except DatabaseError:
            # A constraint says what may be in this column.
            continue
    return filled


def _value(field: Field[Any, Any], present: Any, mark: str) -> Any:
    if isinstance(field, JSONField):
        return _leaves(present, mark)
    if isinstance(field, ArrayField):
        most = getattr(field.base_field, "max_length", None)
        return [_text(most, mark)]
    if isinstance(field, EmailField):
        return EMAIL.format(mark)
    return _text(getattr(field, "max_length", None), mark, is_url="url" in field.name)


def _text(most: int | None, mark: str, *, is_url: bool = False) -> str | None:
    forms = (URL,) if is_url else (LONG, SHORT, SHORTEST)
    texts = (form.format(mark) for form in forms)
    return next((text for text in texts if most is None or len(text) <= most), None)


def _leaves(value: Any, mark: str) -> Any:
    match value:
        case str():
            return LONG.format(mark)
        case list():
            return [_leaves(each, mark) for each in value]
        case dict():
            return {key: _leaves(each, mark) for key, each in value.items()}
        case _:
            return value


def customers_pages(user_id: int) -> list[str]:
    """Return the addresses of the site's pages, those with an id of a customer's included."""
    user = User.objects.get(pk=user_id)
    values: dict[str, list[Any]] = {
        "key_id": [key.pk for key in ApiKey.objects.filter(created_by=user)],
        "public_id": [order.public_id for order in Order.objects.filter(buyer=user)],
        "request_id": list(
            UsageRecord.objects.filter(wallet=wallet_of(user)).values_list("request_id", flat=True)
        ),
        "webhook_id": list(Webhook.objects.filter(made_by=user).values_list("pk", flat=True)),
        "delivery_id": list(
            WebhookDelivery.objects.filter(webhook__made_by=user).values_list("pk", flat=True)
        ),
        "pk": [each.pk for each in Authenticator.objects.filter(user=user, type="webauthn")],
    }
    pages = []
    for prefix, pattern in _walk(get_resolver(), ""):
        route = prefix + str(pattern.pattern)
        name = route.partition(":")[2].partition(">")[0] if "<" in route else ""
        if route.startswith(("admin/", "^")) or "(" in route:
            continue
        before, _, rest = route.partition("<")
        after = rest.partition(">")[2]
        if not name:
            pages.append(f"/{route}")
        elif "<" not in after:
            pages += [f"/{before}{value}{after}" for value in values.get(name, [])]
    return [*pages, *(f"/billing/checkout/{slug}/" for slug in _slugs())]


def _slugs() -> list[str]:
    return list(apps.get_model("billing", "Pack").objects.values_list("slug", flat=True))


def desk_pages() -> list[str]:
    """Return every list of the desk, the page of a row of each, and histories."""
    pages = [reverse("admin:index")]
    for model in admin.site._registry:
        name = model._meta.label_lower.replace(".", "_")
        pages.append(reverse(f"admin:{name}_changelist"))
        # Stripe sends events all the time: nothing was planted in the newest.
        order = "pk" if model is StripeEvent else "-pk"
        if row := model._default_manager.order_by(order).first():
            pages.append(reverse(f"admin:{name}_change", args=[row.pk]))
    for entry in LogEntry.objects.order_by("-pk")[:3]:
        if entry.content_type:
            name = f"{entry.content_type.app_label}_{entry.content_type.model}"
            pages.append(reverse(f"admin:{name}_history", args=[entry.object_id]))
    for wallet_id in Wallet.objects.values_list("pk", flat=True):
        pages += [reverse("admin:billing_wallet_statements", args=[wallet_id])]
    return [*pages, "/admin/proxy/provider/health/", "/admin/margin/"]


def _walk(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for each in resolver.url_patterns:
        if isinstance(each, URLPattern):
            yield prefix, each
        else:
            yield from _walk(each, prefix + str(each.pattern))
