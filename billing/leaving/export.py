"""All that is kept about a customer, as a ZIP of JSON and tables."""

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Iterable
from typing import IO, Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.utils import translation

from accounts.models import Agreement, ApiKey, Company, Membership, TeamEvent, User
from billing.ledger.wallets import wallet_of
from billing.models import (
    LedgerEntry,
    Notice,
    NotificationSettings,
    Order,
    RedeemCode,
    Refund,
    SignIn,
    StatusSubscription,
    TopUpConsent,
    UsageRecord,
    Wallet,
    Webhook,
    WelcomeCredit,
)
from billing.notices.notify import is_known_address
from billing.statements.csv_file import safe_cell, write_csv
from billing.statements.month import list_months, make_statement

# The column that says whose row it is, where it is not `user`.
WHO: dict[Any, str] = {ApiKey: "created_by", Order: "buyer", TeamEvent: "actor"}
# Kept in memory up to this size, and on the disk beyond.
MOST_BYTES_IN_MEMORY = 8 * 1024 * 1024
# What each row of usage says; upstream, cost and provider are the operator's.
USAGE = (
    "request_id",
    "started_at",
    "ended_at",
    "model_name",
    "endpoint",
    "outcome",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "charged_credits",
    "api_key__name",
    "api_key__hint",
)


def write_export(user: User) -> IO[bytes]:
    """Return the ZIP, which the caller closes. It has no secret: keys are named by their hints."""
    wallet = wallet_of(user)
    file = tempfile.SpooledTemporaryFile(MOST_BYTES_IN_MEMORY)  # noqa: SIM115 - the caller closes
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as folder:
        for name, rows in _tables(user, wallet).items():
            text = json.dumps(rows, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
            folder.writestr(f"{name}.json", text)
        with folder.open("usage.csv", "w", force_zip64=True) as usage:
            _write_usage(wallet, usage)
        # Programs read tables: they are the same for everybody.
        with translation.override("en"):
            for month in list_months(wallet):
                folder.writestr(f"statements/{month}.csv", write_csv(make_statement(wallet, month)))
    file.seek(0)
    return file


def _tables(user: User, wallet: Wallet) -> dict[str, Any]:
    return {
        "account": User.objects.values(
            "email", "time_zone", "language", "date_joined", "last_login"
        ).get(pk=user.pk),
        "addresses": _rows(EmailAddress, user, "email", "verified", "primary"),
        "second_factors": _rows(Authenticator, user, "type", "created_at", "last_used_at"),
        "sessions": _rows(UserSession, user, "ip", "user_agent", "created_at"),
        "sign_ins": _rows(SignIn, user, "device_name", "network", "first_at", "last_at"),
        "api_keys": _rows(
            ApiKey,
            user,
            *("name", "hint", "created_at", "expires_at", "last_used_at"),
            *("paused_at", "revoked_at"),
            *("requests_per_minute", "tokens_per_minute", "concurrent_requests"),
            *("lifetime_cap_credits", "monthly_cap_credits", "allowed_models", "allowed_networks"),
        ),
        "agreements": _rows(
            Agreement, user, "text__kind", "text__version", "occasion", "reference", "agreed_at"
        ),
        "company": list(
            Company.objects.filter(team=wallet.team).values(
                "name", "street", "postal_code", "city", "country", "tax_id"
            )
        ),
        "teams": _rows(Membership, user, "team__name", "role", "joined_at"),
        "deeds": _rows(TeamEvent, user, "at", "team__name", "action", "subject"),
        "balance": {"posted_credits": wallet.posted_credits, "debt_credits": wallet.debt_credits},
        "ledger": list(
            LedgerEntry.objects.filter(wallet=wallet)
            .exclude(kind=LedgerEntry.Kind.USAGE)
            .order_by("pk")
            .values("created_at", "kind", "amount_credits", "balance_credits", "reference")
        ),
        "orders": _rows(
            Order,
            user,
            *("public_id", "pack_name", "credits", "bonus_credits", "amount_cents", "currency"),
            *("status", "paid_cents", "discount_cents", "tax_cents", "refunded_cents"),
            *("disputed_cents", "client_address", "created_at", "fulfilled_at"),
        ),
        "refunds": list(
            Refund.objects.filter(order__buyer=user)
            .order_by("pk")
            .values("order__public_id", "amount_cents", "status", "created_at")
        ),
        "top_up_consents": list(
            TopUpConsent.objects.filter(wallet=wallet)
            .order_by("pk")
            .values("given_at", "text", "amount_cents", "currency", "address")
        ),
        "redeemed_codes": list(
            RedeemCode.objects.filter(redeemed_by=user)
            .order_by("redeemed_at")
            .values("hint", "redeemed_at", "batch__credits")
        ),
        "welcome_credits": _rows(WelcomeCredit, user, "address", "network", "credits"),
        "notifications": _rows(
            NotificationSettings,
            user,
            *("wants_low_balance", "low_balance_credits", "wants_lot_expiring"),
            *("wants_top_up_succeeded", "wants_monthly_summary"),
        ),
        "status_subscription": _status_subscription(user),
        "webhooks": list(
            Webhook.objects.filter(team=wallet.team).values(
                "url", "form", "kinds", "low_balance_credits", "created_at", "off_at"
            )
        ),
        "mails": _rows(Notice, user, "kind", "sent_to", "sent_at", "created_at", "facts"),
    }


def _rows(model: Any, user: User, *columns: str) -> list[dict[str, Any]]:
    found: QuerySet[Any] = model.objects.filter(**{WHO.get(model, "user"): user}).order_by("pk")
    return list(found.values(*columns))


def _status_subscription(user: User) -> list[dict[str, Any]]:
    """Return what an address that is known to be theirs follows: of another they learn nothing."""
    if not is_known_address(user):
        return []
    found: QuerySet[Any] = StatusSubscription.objects.filter(address=user.email)
    return list(found.values("address", "language", "model_names", "asked_at", "confirmed_at"))


def _write_usage(wallet: Wallet, file: IO[bytes]) -> None:
    """Write row by row: a customer may have made millions of requests."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(USAGE)
    records = UsageRecord.objects.filter(wallet=wallet).order_by("pk")
    writer.writerows(_safe(row) for row in records.values_list(*USAGE).iterator())
    text.detach()


def _safe(row: Iterable[Any]) -> list[Any]:
    return [safe_cell(cell) if isinstance(cell, str) else cell for cell in row]
