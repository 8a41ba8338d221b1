"""One row of everything that the desk has a page of, and what is right in each of its forms."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.utils import timezone

from accounts.audit import Doer, write_line
from accounts.models import Agreement, Invitation, LegalText, TeamEvent, User
from accounts.teams.members import own_seat
from billing.gifts.redeem_codes import BatchTerms, make_batch
from billing.ledger.freezes import open_freezes
from billing.ledger.wallets import freeze_wallet
from billing.models import (
    AmountOffer,
    Approval,
    AutoTopUp,
    Dispute,
    ExchangeRate,
    Export,
    KeyWriteOff,
    ModelPrice,
    Notice,
    NotificationSettings,
    Refund,
    SignIn,
    StaffNote,
    StatusSubscription,
    StripeCustomer,
    TopUpConsent,
    TopUpPayment,
    Wallet,
    WelcomeCredit,
)
from proxy.models import Incident, Provider, Route
from proxy.upstreams.providers.setup import add_key
from tests import desk
from tests.promotions import make_promotion

PROVIDER_SECRET = "sk-upstream-canary-0123456789abcdef-WXYZ"
ORIGIN = "https://api.example.com"
WHY = {"reason": "Asked for by mail"}


@dataclass(frozen=True)
class Full:
    """A desk with a row on each of its pages, by the page's name."""

    buyer: desk.Buyer
    rows: dict[str, Model]
    # Rows that an action needs in another state than the page's first.
    others: dict[str, Model]
    frozen: Wallet

    def row_of(self, deed: str) -> Model:
        return self.others.get(deed) or self.rows[deed.partition(" ")[0]]


def make_status(address: str) -> None:
    """Make an incident, and an address that is mailed of it."""
    StatusSubscription.objects.create(address=address, language="en", model_names=["gpt-4"])
    Incident.objects.create(title="Slow", impact="slow")


def make_everything() -> Full:
    """Make a row of each page. Bob of finance, who is not logged in, asked for an approval."""
    buyer = desk.make_customer("alice@example.com")
    user, wallet, team = buyer.user, buyer.wallet, buyer.wallet.team
    bob = User.objects.create_user("bob@staff.example", is_staff=True)
    paid = desk.make_order(
        user,
        stripe_session_id="cs_test_paid",
        stripe_payment_intent_id="pi_1",
        stripe_charge_id="ch_1",
        paid_cents=900,
    )
    review = desk.make_order(
        user, status="review", fulfilled_at=None, stripe_session_id="cs_test_review"
    )
    consent = TopUpConsent.objects.create(
        wallet=wallet,
        given_by=user,
        version="1",
        text="I agree",
        pack_name="Small",
        credits=1_000,
        amount_cents=900,
        currency="usd",
        threshold_credits=100,
        monthly_ceiling_cents=9_000,
    )
    AutoTopUp.objects.update_or_create(
        wallet=wallet,
        defaults={
            "state": "on",
            "consent": consent,
            "threshold_credits": 100,
            "monthly_ceiling_cents": 9_000,
            "stripe_customer_id": "cus_1",
            "stripe_payment_method_id": "pm_1",
        },
    )
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    Authenticator.objects.create(user=user, type="totp", data={"secret": "totp-canary"})
    Invitation.objects.create(
        team=team,
        email="dora@example.com",
        role="admin",
        digest="d" * 64,
        invited_by=user,
        expires_at=timezone.now() + timedelta(days=7),
    )
    TeamEvent.objects.create(
        team=team,
        actor=user,
        action="caps_changed",
        member=user,
        before={"monthly_cap_credits": None},
        after={"monthly_cap_credits": 5_000},
    )
    terms = LegalText.objects.create(kind="terms", text="## Terms")
    published = LegalText.objects.create(
        kind="privacy", text="## Privacy", version=1, published_at=timezone.now()
    )
    Agreement.objects.create(user=user, text=published, occasion="sign_up")
    write_line(Doer(command="grant_credits", os_user="root"), "Ran a command", obj=wallet)
    LogEntry.objects.create(
        user=bob,
        content_type=ContentType.objects.get_for_model(Group),
        object_id="1",
        object_repr="x",
        action_flag=2,
        change_message="x",
    )
    Group.objects.get_or_create(name="Helpers")
    offer = AmountOffer.objects.create(
        currency="usd", least_cents=500, most_cents=9_000, credits_per_unit=100
    )
    approval = Approval.objects.create(
        page="billing.wallet",
        action="grant",
        object_id=str(wallet.pk),
        press=uuid4(),
        answers={"credits": ["7"], "reason": ["Sorry"], "once": [str(uuid4())]},
        label="Grant credits",
        reason="Sorry",
        worth_credits=7,
        asked_by=bob,
        expires_at=timezone.now() + timedelta(days=1),
    )
    TopUpPayment.objects.create(order=paid, request={"amount": 900})
    StripeCustomer.objects.create(wallet=wallet, stripe_customer_id="cus_1", email=user.email)
    make_batch(BatchTerms(name="Fair", credits=10, size=1), actor=bob, once=uuid4())
    Dispute.objects.create(
        order=paid, stripe_dispute_id="dp_1", amount_cents=900, status="needs_response"
    )
    Refund.objects.create(order=buyer.order, amount_cents=100, status="refused")
    ExchangeRate.objects.create(currency="eur", day=desk.NOON.date(), rate="1.08")
    Export.objects.create(
        table="billing.order", asked_by=bob, expires_at=timezone.now() + timedelta(days=7)
    )
    item = desk.make_inbox_item()
    item.detail = {"wallet": wallet.pk, "paid": {"amount_cents": 800, "currency": "usd"}}
    item.save()
    KeyWriteOff.objects.create(api_key=buyer.key, hour=desk.NOON, credits=5)
    facts = {"refunds": [{"amount_cents": 500, "currency": "usd"}], "keys": ["a", "b"]}
    Notice.objects.create(user=user, team=team, kind="purchase", reference="1", facts=facts)
    NotificationSettings.objects.get_or_create(team=team, user=user)
    SignIn.objects.create(
        user=user, device_digest="e" * 64, device_name="Firefox on Linux", network="192.0.2.0/24"
    )
    StaffNote.objects.create(wallet=wallet, text="Likes tea", author=bob)
    desk.make_event()
    WelcomeCredit.objects.create(
        user=user, address=user.email, network="192.0.2.0/24", refusal="network"
    )
    make_status(user.email)
    desk.make_provider("acme")
    # One without routes may be deleted.
    spare = Provider.objects.create(name="spare", base_url=f"{ORIGIN}/v1")
    add_key(spare, PROVIDER_SECRET)
    frozen = desk.make_customer("frozen@example.com").wallet
    freeze_wallet(frozen, reason="Stolen card")
    planned = ModelPrice.objects.create(
        model=desk.make_model(),
        version=2,
        prompt_rate_millicredits=1,
        cached_prompt_rate_millicredits=1,
        completion_rate_millicredits=1,
        starts_at=timezone.now() + timedelta(days=7),
    )
    paused = Provider.objects.create(
        name="paused", base_url=f"{ORIGIN}/v1", paused_at=timezone.now(), pause_reason="x"
    )
    rows: dict[str, Model] = {
        model._meta.label_lower: row
        for model in admin.site._registry
        if (row := model._default_manager.order_by("pk").first()) is not None
    }
    named = (buyer.user, wallet, buyer.key, paid, terms, spare, approval, offer, make_promotion())
    rows |= {row._meta.label_lower: row for row in named}
    others: dict[str, Model] = {
        "billing.order credit": review,
        "billing.order close": review,
        "billing.modelprice cancel": planned,
        "billing.promotion show": make_promotion(is_shown=False),
        "billing.wallet unfreeze": frozen,
        "proxy.provider resume": paused,
    }
    return Full(buyer, rows, others, frozen)


def forms_of(full: Full) -> dict[str, dict[str, Any]]:
    """Return what is right in each form of the desk: those of pages and those of actions."""
    wallet = full.buyer.wallet
    provider = {
        "is_active": "on",
        "connect_timeout_s": "5",
        "first_byte_timeout_s": "60",
        "idle_timeout_s": "60",
        "total_timeout_s": "600",
        "probes_per_hour": "0",
        "parameter_rules": "[]",
        "request_extras": "[]",
        "answer_fields": "[]",
        **none_of("keys", "account", "routes"),
    }
    spare = full.rows["proxy.provider"]
    key = full.rows["proxy.providerkey"]
    incident = {"impact": "slow", "started_at_0": "2026-11-28", "started_at_1": "10:00:00"}
    model = {
        "display_name": "Other",
        "default_max_tokens": "4096",
        "owned_by": "acme",
        "order": "1",
    }
    rates = {
        "prompt_rate_millicredits": "2000",
        "cached_prompt_rate_millicredits": "1000",
        "completion_rate_millicredits": "4000",
    }
    route = full.rows["proxy.route"]
    assert isinstance(route, Route)
    routed = {
        "model": str(route.model_id),
        "provider": str(route.provider_id),
        "priority": "1",
        "weight": "1",
        "parameter_rules": "[]",
        "reasoning_beyond_maximum": "0",
    }
    return {
        "accounts.user change": {"is_active": ""},
        "billing.codebatch add": {
            "name": "Fair",
            "size": "2",
            "credits": "10",
            "once": str(uuid4()),
            "is_one_each": "on",
        },
        "billing.exchangerate add": {"currency": "gbp", "day": "2026-03-02", "rate": "1.3"},
        "billing.exchangerate change": {"currency": "eur", "day": "2026-03-02", "rate": "1.1"},
        "billing.publicmodel add": {"name": "gpt-other", **model},
        "billing.publicmodel change": model,
        "proxy.incident add": {"title": "Slow", **incident, **none_of("updates")},
        "proxy.incident change": {"title": "Slower", **incident, **none_of("updates")},
        "proxy.provider add": {"name": "new", "base_url": f"{ORIGIN}/v1", **provider},
        "proxy.provider change": {
            "name": "spare",
            "base_url": f"{ORIGIN}/v1",
            **provider,
            "connect_timeout_s": "6",
            "keys-TOTAL_FORMS": "1",
            "keys-INITIAL_FORMS": "1",
            "keys-0-id": str(key.pk),
            "keys-0-provider": str(spare.pk),
            "keys-0-priority": "0",
            "keys-0-weight": "1",
        },
        "proxy.route add": {**routed, "upstream_model": "another"},
        "proxy.route change": {**routed, "upstream_model": "acme"},
        "accounts.apikey limit": {"models_scope": "all", "networks_scope": "all"},
        "billing.order refund": {
            "amount": "1",
            "kind": "requested_by_customer",
            "once": str(uuid4()),
        },
        "billing.order refund-unused": {"once": str(uuid4())},
        "billing.publicmodel set-price": rates,
        "billing.wallet adjust": {"amount_credits": "5", "once": str(uuid4())},
        "billing.wallet change-address": {
            "email": "new@example.net",
            "again": "new@example.net",
            "once": str(uuid4()),
        },
        "billing.wallet grant": {"credits": "5", "once": str(uuid4())},
        "billing.wallet look": {"member": str(own_seat(full.buyer.user).pk)},
        "billing.wallet note": {"text": "Called us"},
        "billing.wallet unfreeze": {"causes": [each.pk for each in open_freezes(full.frozen)]},
        "proxy.provider import-models": {"is_applied": "on"},
        "proxy.provider compare-usage": {
            "text": "day,model,prompt_tokens,completion_tokens,cost\n2026-03-01,gpt-test,1,1,0.1\n"
        },
        "proxy.provider import-prices": {"text": "{}"},
        "billing.wallet limit": {"requests_per_minute": str(wallet.pk + 10)},
    }


def none_of(*prefixes: str) -> dict[str, str]:
    return {
        f"{prefix}-{name}": "0" for prefix in prefixes for name in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
