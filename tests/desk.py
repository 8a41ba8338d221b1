"""A desk to test: its staff, a customer, and one row of everything that its pages show."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.audit import read_said
from accounts.models import ApiKey, AuditLine, Membership, User
from accounts.reauthentication import SIGNED_IN_AT
from accounts.teams.members import own_team
from billing.ledger.credits import post_credit
from billing.ledger.references import OrderCredit
from billing.ledger.wallets import wallet_of
from billing.models import (
    Debit,
    InboxItem,
    LedgerEntry,
    ModelPrice,
    Order,
    Pack,
    PublicModel,
    StripeEvent,
    UsageRecord,
    Wallet,
    WebhookDelivery,
)
from billing.notices.webhooks.deliveries import write_test
from billing.notices.webhooks.switches import Choice, make_webhook
from proxy.models import Provider, Route

WEBHOOK_HOST = "hooks.of-a-customer.example.com"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def make_staff(email: str, *permissions: str) -> Client:
    """Return the browser of a member of staff with these permissions, such as billing.view_lot."""
    user = User.objects.create_user(email, is_staff=True)
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    return log_in(user)


def log_in(user: User) -> Client:
    """Return the browser of somebody who entered the password just now."""
    client = Client()
    client.force_login(user)
    session = client.session
    session[SIGNED_IN_AT] = time.time()
    session.save()
    return client


def list_url(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")


def page_url(obj: Model, page: str = "change") -> str:
    return reverse(f"admin:{obj._meta.label_lower.replace('.', '_')}_{page}", args=[obj.pk])


def do_url(action: str, *objects: Model) -> str:
    name = objects[0]._meta.label_lower.replace(".", "_")
    ids = ",".join(str(obj.pk) for obj in objects)
    return f"{reverse(f'admin:{name}_do', args=[action])}?ids={ids}"


@dataclass
class Buyer:
    """Somebody who bought 1,000 credits and made one request."""

    user: User
    wallet: Wallet
    key: ApiKey
    order: Order
    record: UsageRecord


def make_customer(email: str) -> Buyer:
    user = User.objects.create_user(email)
    wallet = wallet_of(user)
    order = make_order(user)
    post_credit(
        wallet.pk,
        kind=LedgerEntry.Kind.PURCHASE,
        amount_credits=1_000,
        reference=OrderCredit(order.public_id),
    )
    key = ApiKey.objects.create(
        team=wallet.team,
        created_by=user,
        name="Laptop",
        digest=f"{user.pk:064x}",
        hint="tp_live_Ab…xy",
    )
    record = make_usage(wallet, key)
    Debit.objects.create(
        wallet=wallet, kind="clawback", reference=f"re_{user.pk}", amount_credits=5
    )
    wallet.refresh_from_db()
    return Buyer(user, wallet, key, order, record)


def make_order(user: User, **fields: Any) -> Order:
    pack, _ = Pack.objects.get_or_create(
        slug="small", defaults={"name": "Small", "credits": 1_000, "price_cents": 900}
    )
    return Order.objects.create(
        team=own_team(user),
        buyer=user,
        pack=pack,
        pack_name="Small",
        expires_at=NOON + timedelta(hours=1),
        **{
            "credits": 1_000,
            "amount_cents": 900,
            "currency": "usd",
            "status": "fulfilled",
            "fulfilled_at": NOON,
            "stripe_session_id": f"cs_test_{user.pk}",
            **fields,
        },
    )


def make_delivery(seat: Membership) -> WebhookDelivery:
    """Make a webhook of a team's that was sent a test, which waits."""
    hook, _ = make_webhook(seat, Choice(f"https://{WEBHOOK_HOST}/hook", "json", (), 1_000))
    return write_test(hook)


def make_model(name: str = "gpt-test") -> PublicModel:
    model, is_new = PublicModel.objects.get_or_create(name=name)
    if is_new:
        ModelPrice.objects.create(
            model=model,
            version=1,
            prompt_rate_millicredits=1_000,
            cached_prompt_rate_millicredits=500,
            completion_rate_millicredits=2_000,
        )
    return model


def make_usage(wallet: Wallet, key: ApiKey, *, request_id: str = "") -> UsageRecord:
    price = make_model().prices.get()
    return UsageRecord.objects.create(
        request_id=request_id or f"req-{wallet.pk}",
        wallet=wallet,
        api_key=key,
        price=price,
        model_name="gpt-test",
        endpoint="/v1/chat/completions",
        is_stream=False,
        prompt_tokens=10,
        cached_tokens=0,
        completion_tokens=5,
        reasoning_tokens=0,
        outcome="completed",
        source="reported",
        held_credits=100,
        target_credits=20,
        charged_credits=20,
        started_at=NOON,
        ended_at=NOON + timedelta(seconds=1),
    )


def make_event(event_id: str = "evt_1", **fields: Any) -> StripeEvent:
    return StripeEvent.objects.create(
        event_id=event_id, kind="charge.refunded", payload={"id": event_id}, **fields
    )


def make_inbox_item(reference: str = "order-1") -> InboxItem:
    return InboxItem.objects.create(
        kind="order_mismatch", reference=reference, summary="Paid 8 instead of 9"
    )


def make_provider(name: str = "acme") -> Provider:
    provider = Provider.objects.create(name=name, base_url="https://api.example.com/v1")
    Route.objects.create(model=make_model(), provider=provider, upstream_model=name)
    return provider


def find_user(email: str) -> User:
    return User.objects.get(email=email)


def last_record() -> AuditLine:
    """Return what was last done at the desk."""
    return AuditLine.objects.latest("pk")


def said() -> str:
    """Return in words what was last done at the desk."""
    return str(read_said(last_record()))


def just_now() -> datetime:
    return timezone.now()
