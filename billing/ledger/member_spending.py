"""What members were charged on a wallet, and how Redis begins to count it.

A member's requests are those of all API keys that they made, whatever became of the keys. Redis
counts a member from the first request that a cap of theirs may refuse: until then, and after every
rebuild, the figures of the keys tell as much (`wallet/lua/member.lua`).
"""

from collections.abc import Iterable

from django.db import connection
from django.db.models import QuerySet

from accounts.models import ApiKey, Membership
from billing.models import MemberSpending, Wallet
from billing.wallet.commands import figures
from billing.wallet.commands.command import parse_ok
from billing.wallet.limits import NO_CAPS, Caps
from billing.wallet.sync_client import get_sync_client
from billing.wallet.usage import NO_MEMBER, RequestFacts
from common.many_rows import add_amounts

# What was booked for a member by keys that are not theirs any more, by month. One statement, so
# that no booking comes between the two sums.
ELSEWHERE = """
SELECT s.month, s.charged_credits - COALESCE(k.charged, 0)
FROM billing_memberspending s LEFT JOIN (
    SELECT month, SUM(charged_credits) AS charged FROM billing_keyspending
    WHERE api_key_id = ANY(%s) GROUP BY month
) k ON k.month = s.month
WHERE s.wallet_id = %s AND s.member_id = %s AND s.charged_credits > COALESCE(k.charged, 0)
"""


def member_of(key: ApiKey) -> int:
    """Return the person whose caps a key counts for: who made it, unless they left it behind."""
    return NO_MEMBER if key.is_left_to_team else key.created_by_id


def caps_of_member(key: ApiKey) -> Caps:
    """Return the caps of the person whom a key counts for.

    They are read after the key and its wallet's version, so they are never older than these; a
    change of them raises the version.
    """
    if key.is_left_to_team:
        return NO_CAPS
    seats = Membership.objects.filter(team=key.team_id, user=key.created_by_id)
    found = seats.values_list("lifetime_cap_credits", "monthly_cap_credits").first()
    return Caps(*found) if found else NO_CAPS


def keys_of_member(wallet_id: int, member_id: int) -> QuerySet[ApiKey]:
    """Return all keys that count for a member on a wallet, revoked ones included."""
    return ApiKey.objects.filter(
        created_by=member_id, team__wallet=wallet_id, is_left_to_team=False
    )


def count_member(wallet_id: int, member_id: int) -> None:
    """Have Redis count what a member spends from now on, beginning with what they spent.

    Safe to repeat. No key is missed: one that is not listed here was made after the cap was set, so
    its first request waits for this count, too; and if the cap is not the same any more, Redis
    refuses the count by the wallet's version. Raises WalletStale, WalletMissing, WalletRecovering.
    """
    version = Wallet.objects.values_list("version", flat=True).get(pk=wallet_id)
    api_key_ids = list(keys_of_member(wallet_id, member_id).values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(ELSEWHERE, [api_key_ids, wallet_id, member_id])
        elsewhere = {month: int(charged) for month, charged in cursor.fetchall()}
    call = figures.count_member(
        wallet_id,
        member_id,
        known_version=version,
        api_key_ids=api_key_ids,
        elsewhere=elsewhere,
    )
    parse_ok(get_sync_client().ask(call))


def makers_of(many: Iterable[RequestFacts]) -> dict[int, int]:
    """Return whom keys count for, by key, where the facts of their requests don't say it."""
    unsaid = {facts.api_key_id for facts in many if facts.member_id is None}
    if not unsaid:
        return {}
    return {key.pk: member_of(key) for key in ApiKey.objects.filter(pk__in=unsaid)}


def add_spending_of_members(spent: dict[tuple[int, int, int], int]) -> None:
    """Add to what members spent, by wallet, member and month. The caller locked the wallets."""
    add_amounts(MemberSpending, ["wallet", "member", "month"], spent, to="charged_credits")
