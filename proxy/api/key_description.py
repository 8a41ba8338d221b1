"""The answer of GET /v1/key: limits, caps, spending, and the state of a rotation."""

from billing.wallet.limits import NO_CAPS, Allowance, Caps, KeyFigures
from billing.wallet.usage import month_end
from proxy.api.instants import instant
from proxy.serving.keys import KeyAbout, KeyFacts
from proxy.serving.standing import Standing


def describe_key(standing: Standing) -> dict[str, object]:
    """Describe a key. Instants are ISO 8601 in UTC; null means no cap, or everything allowed."""
    key, caps = standing.key, standing.key.limits
    of_key = Caps(caps.lifetime_cap_credits, caps.monthly_cap_credits)
    return {
        "object": "key",
        "team": describe_team(key.about),
        "name": key.about.name,
        "hint": key.about.hint,
        "created_at": instant(key.about.created_at),
        "expires_at": instant(key.about.expires_at),
        "limits": describe_allowance(key.limits.key),
        "account_limits": describe_allowance(key.limits.wallet),
        "open_requests": standing.figures.open_requests,
        "spending": describe_spending(of_key, standing.figures, standing.month),
        "member_spending": None
        if caps.member_caps == NO_CAPS
        else describe_spending(caps.member_caps, standing.member, standing.month),
        "allowed_models": sorted(key.allowed_models) or None,
        "allowed_networks": [str(network) for network in key.allowed_networks] or None,
        "rotation": describe_rotation(key, key.about),
    }


def describe_team(about: KeyAbout) -> dict[str, str]:
    """Describe the team that a key belongs to and whose credits it spends."""
    return {"id": about.team_id, "name": about.team_name}


def describe_allowance(allowance: Allowance) -> dict[str, int]:
    """Describe the limits on requests at once and per minute."""
    return {
        "requests_per_minute": allowance.requests_per_minute,
        "tokens_per_minute": allowance.tokens_per_minute,
        "concurrent_requests": allowance.concurrent_requests,
    }


def describe_spending(caps: Caps, figures: KeyFigures, month: int) -> dict[str, object]:
    """Describe the caps of a key, or of the member who made it, and what is used of them."""
    monthly = describe_cap(
        caps.monthly_credits, figures.month_spent_credits, figures.month_held_credits
    )
    return {
        "lifetime": describe_cap(
            caps.lifetime_credits, figures.spent_credits, figures.held_credits
        ),
        "monthly": {**monthly, "resets_at": instant(month_end(month))},
    }


def describe_cap(cap: int | None, spent: int, held: int) -> dict[str, int | None]:
    """Describe a cap. Credits held by open requests count as used until these end."""
    return {
        "cap_credits": cap,
        "used_credits": spent + held,
        "held_credits": held,
        "remaining_credits": None if cap is None else max(cap - spent - held, 0),
    }


def describe_rotation(key: KeyFacts, about: KeyAbout) -> dict[str, object] | None:
    """Describe a rotation under way; None if there is none. The same for both secrets."""
    if about.previous_expires_at is None:
        return None
    return {
        "old_hint": about.previous_hint,
        "old_secret_ends_at": instant(about.previous_expires_at),
        "is_old_secret": key.is_old_secret,
    }
