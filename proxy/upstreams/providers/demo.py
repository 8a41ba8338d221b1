"""The contents of a new shop for `make run`: packs, models, a provider, a customer and staff.

Each is made only if it is missing, so seeding is safe to repeat and never undoes an edit.
"""

import os
import secrets
from pathlib import Path

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts.models import User
from billing.catalogue.model_prices import set_price
from billing.ledger.wallets import wallet_of
from billing.models import AmountOffer, AmountStep, Pack, PublicModel
from proxy.upstreams.providers.setup import set_up_provider

CUSTOMER = "demo@example.com"
STAFF = "staff@example.com"

MILLION = 1_000_000

PACKS = [
    # slug, name, description, credits, price in cents, valid for days, highlighted
    ("starter", "Starter", "Try it on a side project.", MILLION, 500, 365, False),
    ("builder", "Builder", "For a product in the making.", 5 * MILLION, 2_000, 365, True),
    ("scale", "Scale", "For a product with customers.", 25 * MILLION, 8_000, None, False),
]

# Of a dollar each: what one buys, and from how many cents it buys more.
CREDITS_A_DOLLAR = 200_000
AMOUNT_STEPS = [(2_000, 250_000), (8_000, 312_500), (50_000, 340_000)]

MODELS = [
    # name, shown as, description, millicredits per prompt, cached prompt and completion token
    ("gpt-4", "GPT-4", "The dependable one.", 3_000, 1_500, 6_000),
    ("gpt-4o", "GPT-4o", "Fast and strong, sees images.", 1_000, 500, 4_000),
    ("gpt-4o-mini", "GPT-4o mini", "Small, quick and cheap.", 100, 50, 400),
    ("gpt-3.5-turbo", "GPT-3.5 Turbo", "The classic for simple tasks.", 200, 100, 600),
]

GERMAN = {
    "Try it on a side project.": "Zum Ausprobieren, für ein Nebenprojekt.",
    "For a product in the making.": "Für ein Produkt, das entsteht.",
    "For a product with customers.": "Für ein Produkt mit Kunden.",
    "The dependable one.": "Das verlässliche.",
    "Fast and strong, sees images.": "Schnell und stark, versteht Bilder.",
    "Small, quick and cheap.": "Klein, flink und günstig.",
    "The classic for simple tasks.": "Der Klassiker für einfache Aufgaben.",
}


def seed(*, upstream_url: str, upstream_key: str, password_file: Path) -> dict[str, str | None]:
    """Make packs, models, a provider, a customer and a member of staff, as far as missing.

    Returns the accounts that can log in. A password is None if the account existed before.
    """
    with transaction.atomic():
        _seed_packs()
        _seed_amounts()
        _seed_models()
        set_up_provider(
            "sandbox",
            base_url=upstream_url,
            secret=upstream_key,
            models={name: name for name, *_ in MODELS},
        )
        passwords = _passwords(password_file)
        return {
            CUSTOMER: _seed_user(CUSTOMER, passwords[0], is_staff=False),
            STAFF: _seed_user(STAFF, passwords[1], is_staff=True),
        }


def _seed_packs() -> None:
    for order, (slug, name, description, amount, cents, days, is_highlighted) in enumerate(PACKS):
        Pack.objects.get_or_create(
            slug=slug,
            defaults={
                "name": name,
                "description": description,
                "description_de": GERMAN[description],
                "credits": amount,
                "price_cents": cents,
                "validity_days": days,
                "is_highlighted": is_highlighted,
                "order": order,
            },
        )


def _seed_amounts() -> None:
    offer, is_new = AmountOffer.objects.get_or_create(
        currency="usd",
        defaults={
            "least_cents": 500,
            "most_cents": 200_000,
            "credits_per_unit": CREDITS_A_DOLLAR,
            "validity_days": 365,
            "is_active": True,
        },
    )
    if is_new:
        for from_cents, rate in AMOUNT_STEPS:
            AmountStep.objects.create(offer=offer, from_cents=from_cents, credits_per_unit=rate)


def _seed_models() -> None:
    for order, (name, shown_as, description, prompt, cached, completion) in enumerate(MODELS):
        model, is_new = PublicModel.objects.get_or_create(
            name=name,
            defaults={
                "display_name": shown_as,
                "description": description,
                "description_de": GERMAN[description],
                "owned_by": "openai",
                "order": order,
            },
        )
        if is_new:
            set_price(
                model,
                prompt_rate_millicredits=prompt,
                cached_prompt_rate_millicredits=cached,
                completion_rate_millicredits=completion,
            )


def _seed_user(email: str, password: str, *, is_staff: bool) -> str | None:
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, password, is_staff=is_staff, is_superuser=is_staff)
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    wallet_of(user)
    # Shown only as long as it has not been changed.
    return password if user.check_password(password) else None


def _passwords(path: Path) -> list[str]:
    """Return the demo's passwords: made once per checkout, kept where only its owner reads."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w") as text:
            text.write("\n".join(secrets.token_urlsafe(12) for _ in range(2)))
    return path.read_text().split()
