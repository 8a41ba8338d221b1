"""Codes that give credits once: staff make them in batches, customers redeem them.

A code has 80 random bits, so it can't be found from its plain digest, nor guessed even without the
limit on attempts. That limit protects our database from the load of guessing.
"""

import hashlib
import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Membership, User
from accounts.teams.events import Action, note
from accounts.teams.members import lock_seat
from accounts.teams.roles import Deed, demand
from billing.exceptions import (
    BatchExists,
    CodeExpired,
    CodeRevoked,
    CodeUnknown,
    CodeUsed,
    InvalidAmount,
    TooManyGuesses,
)
from billing.ledger.references import Code
from billing.ledger.wallets import get_wallet, grant_credits
from billing.models import CodeBatch, LedgerEntry, RedeemCode
from common.attempts import count_attempt, uncount_attempt
from common.client_networks import SITE_IPV6_BITS, network_of
from common.credits import MAX_CREDITS

# Crockford's base 32: no letter that looks like a digit. https://www.crockford.com/base32.html
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LOOKALIKES = str.maketrans("OIL", "011")
LENGTH = 16
GROUP = 4
MAX_BATCH = 10_000

# One person mistypes a few times; a household or an office has a few people.
MAX_GUESSES_PER_USER = 10
MAX_GUESSES_PER_NETWORK = 50


@dataclass(frozen=True, slots=True)
class BatchTerms:
    """What each code of a batch gives, and until when it can be redeemed."""

    name: str
    credits: int
    size: int
    expires_at: datetime | None = None
    lot_days: int | None = None
    is_promotional: bool = True
    is_one_each: bool = True


@transaction.atomic
def make_batch(terms: BatchTerms, *, actor: User, once: UUID) -> tuple[CodeBatch, list[str]]:
    """Make a batch and return it with its codes, which can't be read again.

    Raises InvalidAmount, and BatchExists if a batch was made with the same `once`.
    """
    if not 0 < terms.credits <= MAX_CREDITS or not 0 < terms.size <= MAX_BATCH:
        raise InvalidAmount(f"A batch has 1 to {MAX_BATCH:,} codes of at least 1 credit.")
    batch, is_new = CodeBatch.objects.get_or_create(
        once=once,
        defaults={
            "name": terms.name,
            "credits": terms.credits,
            "lot_days": terms.lot_days,
            "is_promotional": terms.is_promotional,
            "is_one_each": terms.is_one_each,
            "expires_at": terms.expires_at,
            "created_by": actor,
        },
    )
    if not is_new:
        raise BatchExists("This batch was made already; its codes can't be shown again.")
    texts = [make_code() for _ in range(terms.size)]
    RedeemCode.objects.bulk_create(
        (
            RedeemCode(
                batch=batch,
                digest=digest_of(text),
                hint=text[-GROUP:],
                is_one_each=batch.is_one_each,
            )
            for text in texts
        ),
        batch_size=1_000,
    )
    return batch, texts


def revoke_batch(batch: CodeBatch) -> bool:
    """Revoke the unredeemed codes of a batch. False if that was done before. Safe to repeat."""
    waiting = CodeBatch.objects.filter(pk=batch.pk, revoked_at=None)
    return waiting.update(revoked_at=timezone.now()) == 1


def redeem(seat: Membership, text: str, *, address: str) -> LedgerEntry:
    """Redeem a code for a member's team from this IP address. Returns the grant's ledger entry.

    Raises CodeUnknown, CodeUsed, CodeExpired, CodeRevoked, and TooManyGuesses after too many of
    those within an hour, and NotAllowed, NotAMember, TeamClosed. Of two calls at once, one gets the
    credits and the other CodeUsed.
    """
    demand(seat, Deed.BUY)
    counters = _counters(seat.user, address)
    for key, most in counters.items():
        if count_attempt(key) > most:
            raise TooManyGuesses("Too many codes were tried.")
    entry = _redeem(seat, text)
    for key in counters:
        uncount_attempt(key)
    return entry


@transaction.atomic
def _redeem(seat: Membership, text: str) -> LedgerEntry:
    # A team's and a person's redemptions wait for each other: some batches allow one code each.
    seat = lock_seat(seat, Deed.BUY)
    team, user = seat.team, seat.user
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    now = timezone.now()
    code = _find_code(text)
    _check_code(code, seat, now)
    claimed = RedeemCode.objects.filter(pk=code.pk, redeemed_at=None).update(
        redeemed_by=user, team=team, redeemed_at=now
    )
    if claimed != 1:
        raise CodeUsed("This code was redeemed already.")
    note(
        team,
        Action.REDEEMED,
        actor=user,
        subject=f"…{code.hint}",
        after={"credits": code.batch.credits},
    )
    days = code.batch.lot_days
    return grant_credits(
        get_wallet(team),
        credits=code.batch.credits,
        reason=f"Code …{code.hint}",
        is_promotional=code.batch.is_promotional,
        expires_at=now + timedelta(days=days) if days else None,
        reference=Code(code.pk),
    )


def _find_code(text: str) -> RedeemCode:
    plain = normalize(text)
    code = (
        plain and RedeemCode.objects.select_related("batch").filter(digest=digest_of(plain)).first()
    )
    if not code:
        raise CodeUnknown("There is no such code.")
    return code


def _check_code(code: RedeemCode, seat: Membership, now: datetime) -> None:
    if code.redeemed_at is not None:
        raise CodeUsed("This code was redeemed already.")
    if code.batch.revoked_at is not None:
        raise CodeRevoked("This code was withdrawn.")
    if code.batch.expires_at is not None and code.batch.expires_at <= now:
        raise CodeExpired("This code has expired.")
    theirs = Q(redeemed_by=seat.user) | Q(team=seat.team)
    if code.is_one_each and code.batch.codes.filter(theirs).exists():
        raise CodeUsed("A code of this batch was redeemed by the same customer.")


def make_code() -> str:
    """Return a new code from the system's random source, in groups joined by hyphens."""
    plain = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(plain[at : at + GROUP] for at in range(0, LENGTH, GROUP))


def normalize(text: str) -> str:
    """Return a typed code in the form in which codes are compared; empty if it can't be one."""
    folded = unicodedata.normalize("NFKC", text[:100]).upper()
    plain = re.sub(r"[\s\-–—_.]", "", folded).translate(LOOKALIKES)
    is_code = len(plain) == LENGTH and set(plain) <= set(ALPHABET)
    return plain if is_code else ""


def digest_of(text: str) -> str:
    """Return the SHA-256 of a code in hex, as the database stores it."""
    return hashlib.sha256(normalize(text).encode()).hexdigest()


def _counters(user: User, address: str) -> dict[str, int]:
    network = network_of(address, ipv6_bits=SITE_IPV6_BITS)
    return {
        f"redeem-guesses:user:{user.pk}": MAX_GUESSES_PER_USER,
        f"redeem-guesses:network:{network}": MAX_GUESSES_PER_NETWORK,
    }
