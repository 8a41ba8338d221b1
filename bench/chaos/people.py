"""Open the shop for a run: a pack, models with odd prices, customers with keys and passwords.

Runs as a process of its own with the stack's settings; reads its orders as JSON on stdin and
prints one line of JSON.
"""

import json
import os
import sys
from typing import Any

import django


def main() -> None:
    """Make everything through the services that the pages and the admin call."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tokenproxy_site.settings")
    django.setup()
    wanted = json.load(sys.stdin)
    sell_pack(wanted["pack"])
    for name, models in wanted["providers"].items():
        sell_models(name, models, wanted["upstream"])
    print(json.dumps([open_account(**customer) for customer in wanted["customers"]]))


def sell_pack(pack: dict[str, Any]) -> None:
    from billing.models import Pack

    Pack.objects.get_or_create(slug=pack["slug"], defaults=pack)


def sell_models(provider: str, models: dict[str, list[int]], upstream: dict[str, str]) -> None:
    """Route models to the sandbox under their own names, at these rates."""
    from billing.catalogue.model_prices import set_price
    from billing.models import PublicModel
    from proxy.upstreams.providers.setup import set_up_provider

    set_up_provider(
        provider,
        models={name: name for name in models},
        base_url=upstream["base_url"],
        secret=upstream["secret"],
    )
    for name, (prompt, cached_prompt, completion) in models.items():
        set_price(
            PublicModel.objects.get(name=name),
            prompt_rate_millicredits=prompt,
            cached_prompt_rate_millicredits=cached_prompt,
            completion_rate_millicredits=completion,
        )


def open_account(
    email: str,
    password: str,
    *,
    credits: int,
    rpm: int,
    cap: int | None = None,
    member_cap: int | None = None,
    joins: str = "",
) -> dict[str, Any]:
    """Make a customer who can log in and has a key; either may have a cap.

    With `joins` they are a developer in the team of that address, and spend its balance.
    """
    from allauth.account.models import EmailAddress

    from accounts.models import Role, User
    from accounts.teams.invitations import accept, invite
    from accounts.teams.members import own_seat
    from billing.keys.api_keys import issue_api_key
    from billing.keys.settings import KeySettings
    from billing.ledger.wallets import get_wallet, grant_credits, wallet_of
    from billing.teams.members import set_member_caps

    user = User.objects.create_user(email, password)
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    if credits:
        grant_credits(wallet_of(user), credits=credits, reason="a start")
    limits = KeySettings(requests_per_minute=rpm, lifetime_cap_credits=cap)
    owner = seat = own_seat(user)
    if joins:
        owner = own_seat(User.objects.get(email=joins))
        invitation, _ = invite(owner, email, Role.DEVELOPER)
        seat = accept(user, invitation)
    key, secret = issue_api_key(seat, name="chaos", settings=limits)
    if member_cap is not None:
        set_member_caps(owner, user, lifetime_cap_credits=member_cap, monthly_cap_credits=None)
    return {
        "email": email,
        "password": password,
        "secret": secret,
        "wallet_id": get_wallet(seat.team).pk,
        "api_key_id": key.pk,
        # It is the only key.
        "cap_credits": cap if member_cap is None else member_cap,
    }


if __name__ == "__main__":
    main()
