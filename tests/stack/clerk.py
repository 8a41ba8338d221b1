"""The shop's back room for the tests: what staff does in the admin, by one line of JSON each.

Runs as a process of its own with the stack's settings, because the tests' own Django belongs to
another database. Every order goes through the services that the pages and the admin call. Orders
come on stdin as `[name, {arguments}]`; each is answered by one line on the first stdout, an object
with either `answer` or `error`.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

import django

Answer = Any


def open_account(email: str, credits: int, limits: dict[str, int], caps: dict[str, int]) -> Answer:
    """Make a customer with a balance and these caps, and a key with these limits."""
    from accounts.models import User
    from accounts.teams.members import own_seat
    from billing.keys.api_keys import issue_api_key
    from billing.ledger.wallets import grant_credits, wallet_of

    user = User.objects.create_user(email)
    if credits:
        grant_credits(wallet_of(user), credits=credits, reason="a test")
    key, secret = issue_api_key(own_seat(user), name="test")
    if limits:
        type(key).objects.filter(pk=key.pk).update(**limits)
    if caps:
        cap_member(email, caps)
    return {"email": email, "secret": secret, "wallet_id": wallet_of(user).pk, "key_id": key.pk}


def cap_member(email: str, caps: dict[str, int]) -> Answer:
    """Set the caps of somebody in their own team."""
    from accounts.models import User
    from accounts.teams.members import own_seat
    from billing.teams.members import set_member_caps

    user = User.objects.get(email=email)
    none = {"lifetime_cap_credits": None, "monthly_cap_credits": None}
    set_member_caps(own_seat(user), user, **(none | caps))


def sell(provider: dict[str, Any], routes: dict[str, list[str]], rates: list[int]) -> Answer:
    """Sell public models, each served by a provider's models in this order.

    `provider` has the name, base_url and secret, and `limits` for its other fields; `rates` are
    for prompt, cached prompt and completion.
    """
    from django.db import transaction

    from billing.catalogue.model_prices import set_price
    from billing.models import PublicModel
    from proxy.models import Provider, Route
    from proxy.upstreams.providers.setup import set_up_provider

    name, limits = provider.pop("name"), provider.pop("limits")
    prompt, cached_prompt, completion = rates
    with transaction.atomic():
        for public_name, upstream_models in routes.items():
            for priority, upstream_model in enumerate(upstream_models):
                set_up_provider(name, models={public_name: upstream_model}, **provider)
                mine = Route.objects.filter(model__name=public_name, upstream_model=upstream_model)
                mine.update(priority=priority)
            set_price(
                PublicModel.objects.get(name=public_name),
                prompt_rate_millicredits=prompt,
                cached_prompt_rate_millicredits=cached_prompt,
                completion_rate_millicredits=completion,
            )
        Provider.objects.filter(name=name).update(**limits)
    return None


def receipts(wallet_ids: list[int]) -> Answer:
    """Read the receipts of some wallets, oldest first."""
    from billing.models import UsageRecord

    columns = (
        "request_id", "wallet_id", "model_name", "provider_name", "is_stream", "attempts",
        "prompt_tokens", "cached_tokens", "completion_tokens", "outcome", "source",
        "held_credits", "target_credits", "charged_credits", "write_off_credits",
    )  # fmt: skip
    records = UsageRecord.objects.filter(wallet_id__in=wallet_ids).order_by("pk")
    return list(records.values(*columns))


def is_at_rest() -> Answer:
    """Tell whether nothing is under way in any wallet: no hold, no unbooked event."""
    from billing.audit.redis_comparison import differences
    from billing.exceptions import WalletRecovering

    try:
        return not list(differences(at_rest=True))
    except WalletRecovering:
        return False


def audit() -> Answer:
    """Check the books at rest."""
    from billing.audit.books import audit

    return [str(finding) for finding in audit(at_rest=True)]


def has_unprocessed_events() -> Answer:
    """Tell whether Stripe told of something that nobody has looked at yet."""
    from billing.models import StripeEvent

    return StripeEvent.objects.filter(processed_at=None).exists()


def ledger(email: str) -> Answer:
    """Read somebody's ledger, oldest first."""
    from billing.models import LedgerEntry

    entries = LedgerEntry.objects.filter(wallet__user__email=email).order_by("pk")
    return list(entries.values("kind", "amount_credits", "balance_credits", "reference"))


ORDERS: dict[str, Callable[..., Answer]] = {
    order.__name__: order
    for order in (
        cap_member,
        open_account,
        sell,
        receipts,
        ledger,
        audit,
        is_at_rest,
        has_unprocessed_events,
    )
}


def obey(line: str) -> dict[str, Answer]:
    """Carry an order out."""
    name, arguments = json.loads(line)
    try:
        return {"answer": ORDERS[name](**arguments)}
    except Exception as error:  # noqa: BLE001  # whatever it is, the test is told
        return {"error": f"{type(error).__name__}: {error}"}


def serve(orders: TextIO, answers: TextIO) -> None:
    """Answer until the orders end."""
    for line in orders:
        answers.write(json.dumps(obey(line)) + "\n")
        answers.flush()


if __name__ == "__main__":
    # What the product prints must not mix with the answers.
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenproxy_site.settings")
        django.setup()
        serve(sys.stdin, channel)
