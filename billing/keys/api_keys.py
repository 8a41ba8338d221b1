"""API keys: issue, change, rotate, pause, revoke.

Only this module writes keys. Each change is noted on the wallet in the same transaction and pushed
to Redis, so that every web process knows of it with the next request.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta

from django.conf import settings as site
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from accounts.api_keys import usable_keys
from accounts.models import ApiKey, Membership, Team, User
from accounts.secrets import make_secret
from accounts.teams.events import Action, note
from accounts.teams.members import lock_seat
from accounts.teams.roles import Deed
from billing.exceptions import KeyNotUsable, RotationUnderWay, SignedOut, TooManyKeys
from billing.keys.notices import notify_key_revoked, notify_key_rotated, notify_new_key
from billing.keys.settings import KeySettings
from billing.ledger.credits import lock_wallet
from billing.ledger.pushes import push_on_commit
from billing.ledger.wallets import get_wallet
from billing.models import KeySpending, Wallet
from billing.notices.notify import as_fact
from billing.wallet.usage import month_of
from common.names import clean_name

DEFAULT_OVERLAP = timedelta(hours=24)
PREVIOUS = ["previous_digest", "previous_hint", "previous_expires_at"]


@transaction.atomic
def issue_api_key(
    seat: Membership, *, name: str, settings: KeySettings | None = None
) -> tuple[ApiKey, str]:
    """Create a member's key and return it with its secret, which can't be read again.

    Raises SignedOut, TooManyKeys, BadNetwork, TooManyModels, NotAMember, NotAllowed, TeamClosed.
    """
    user = seat.user
    # Under the locks, so that two calls at once are counted one after the other, and whoever is
    # removed meanwhile gets none.
    seat = lock_seat(seat, Deed.MAKE_KEYS)
    lock_wallet(get_wallet(seat.team).pk)
    if not User.objects.filter(pk=user.pk, password=user.password).exists():
        raise SignedOut(gettext("The password was changed meanwhile. Log in again."))
    if usable_keys(seat.team, at=timezone.now()).count() >= site.MAX_API_KEYS:
        raise TooManyKeys(
            gettext(
                "There are {max_api_keys} keys already. Revoke one that is not needed any more."
            ).format(max_api_keys=site.MAX_API_KEYS)
        )
    secret = make_secret()
    key = ApiKey(
        team=seat.team,
        created_by=user,
        name=clean_name(name) or "API key",
        digest=secret.digest,
        hint=secret.hint,
    )
    (settings or KeySettings()).apply_to(key)
    key.save()
    note(key.team, Action.KEY_MADE, actor=user, subject=key.hint, after=_as_facts(key))
    notify_new_key(key)
    return key, secret.text


def change_api_key(
    key: ApiKey, *, name: str, settings: KeySettings, by: User | None = None
) -> None:
    """Rename a key and set what it may do, at once in every process. Safe to repeat.

    Raises KeyNotUsable if it is revoked, BadNetwork, TooManyModels.
    """
    adjust_api_key(key, lambda _: settings, name=name, by=by)


@transaction.atomic
def adjust_api_key(
    key: ApiKey,
    change: Callable[[KeySettings], KeySettings],
    *,
    name: str = "",
    by: User | None = None,
) -> tuple[KeySettings, KeySettings]:
    """Apply `change` to a key's present settings, and rename the key unless `name` is empty.

    Returns the settings before and after. Safe to repeat if `change` is. Raises KeyNotUsable if the
    key is revoked, BadNetwork, TooManyModels.
    """
    locked = _lock(key)
    if locked.revoked_at is not None:
        raise KeyNotUsable(gettext("The key is revoked."))
    before, was = KeySettings.of(locked), _as_facts(locked)
    names = change(before).apply_to(key)
    key.name = clean_name(name) or locked.name
    key.save(update_fields=["name", *names])
    note_key_changed(key)
    if was != (now := _as_facts(key)):
        note(key.team, Action.KEY_CHANGED, actor=by, subject=key.hint, before=was, after=now)
    return before, KeySettings.of(key)


@transaction.atomic
def rotate_api_key(
    key: ApiKey, *, overlap: timedelta = DEFAULT_OVERLAP, by: User | None = None
) -> str:
    """Give a key a new secret; the old one works for as long as `overlap`. Returns the secret.

    Limits, spending and receipts stay with the key. Raises KeyNotUsable, RotationUnderWay.
    """
    locked, now = _lock(key), timezone.now()
    if not locked.is_usable(now):
        raise KeyNotUsable(gettext("The key is revoked or has expired."))
    if locked.is_rotating(now):
        raise RotationUnderWay(gettext("The secret before this one still works. End it first."))
    secret = make_secret()
    if overlap:
        key.previous_digest, key.previous_hint = locked.digest, locked.hint
        key.previous_expires_at = now + overlap
    else:
        _forget_previous(key)
    key.digest, key.hint = secret.digest, secret.hint
    key.save(update_fields=["digest", "hint", *PREVIOUS])
    note_key_changed(key)
    note(
        key.team,
        Action.KEY_ROTATED,
        actor=by,
        subject=locked.hint,
        before={"hint": locked.hint},
        after={"hint": key.hint},
    )
    notify_key_rotated(key)
    return secret.text


@transaction.atomic
def lend_api_key(seat: Membership, *, name: str, settings: KeySettings) -> tuple[ApiKey, str]:
    """Give a member's playground key a new secret, and end the one before. Returns the secret.

    The first call makes the key. Raises what `issue_api_key` does.
    """
    seat = lock_seat(seat, Deed.MAKE_KEYS)
    lock_wallet(get_wallet(seat.team).pk)
    theirs = ApiKey.objects.select_for_update().filter(
        team=seat.team, created_by=seat.user, is_playground=True, revoked_at=None
    )
    key = theirs.first()
    if key is None:
        key, text = issue_api_key(seat, name=name, settings=settings)
        key.is_playground = True
        key.save(update_fields=["is_playground"])
        return key, text
    secret = make_secret()
    key.digest, key.hint, key.name = secret.digest, secret.hint, name
    names = settings.apply_to(key)
    _forget_previous(key)
    key.save(update_fields=["digest", "hint", "name", *names, *PREVIOUS])
    note_key_changed(key)
    return key, secret.text


@transaction.atomic
def end_rotation(key: ApiKey) -> bool:
    """End the old secret of `key` now. False if it had ended before. Safe to repeat.

    The old secret of a rotation that began since `key` was read still works.
    """
    locked = _lock(key)
    had_one = locked.is_rotating(timezone.now()) and locked.previous_digest == key.previous_digest
    _forget_previous(key)
    if had_one:
        key.save(update_fields=PREVIOUS)
    note_key_changed(key)
    return had_one


@transaction.atomic
def pause_api_key(key: ApiKey, *, by: User | None = None) -> bool:
    """Refuse a key until it is resumed, at once in every process. False if it is refused already.

    Safe to repeat.
    """
    lock_wallet(get_wallet(key.team).pk)
    running = ApiKey.objects.filter(pk=key.pk, paused_at=None, revoked_at=None)
    if running.update(paused_at=timezone.now()) != 1:
        return False
    note_key_changed(key)
    note(key.team, Action.KEY_PAUSED, actor=by, subject=key.hint)
    return True


@transaction.atomic
def resume_api_key(key: ApiKey, *, by: User | None = None) -> bool:
    """Let a paused key go on. False if it is not paused, or is revoked. Safe to repeat.

    A process that has refused it lately goes on doing so for at most KEY_CACHE_S.
    """
    lock_wallet(get_wallet(key.team).pk)
    paused = ApiKey.objects.filter(pk=key.pk, paused_at__isnull=False, revoked_at=None)
    if paused.update(paused_at=None) != 1:
        return False
    note_key_changed(key)
    note(key.team, Action.KEY_RESUMED, actor=by, subject=key.hint)
    return True


@transaction.atomic
def revoke_api_key(key: ApiKey, *, by: User | None = None) -> bool:
    """Revoke a key for good, at once in every process. False if it was before. Safe to repeat."""
    # Every transaction that takes both locks takes the wallet's first.
    lock_wallet(get_wallet(key.team).pk)
    usable = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
    if usable.update(revoked_at=timezone.now()) != 1:
        return False
    note_key_changed(key)
    note(key.team, Action.KEY_REVOKED, actor=by, subject=key.hint)
    notify_key_revoked(key)
    return True


@transaction.atomic
def revoke_keys(keys: QuerySet[ApiKey], *, by: User | None) -> None:
    """Revoke every one of these, in an order that all callers share. Safe to repeat."""
    for key in keys.filter(revoked_at=None).order_by("pk"):
        revoke_api_key(key, by=by)


@transaction.atomic
def leave_keys_to_team(keys: QuerySet[ApiKey]) -> None:
    """Let keys go on whose maker leaves. Safe to repeat."""
    wallets = _lock_wallets(keys)
    keys.update(is_left_to_team=True)
    for wallet in wallets:
        push_on_commit(wallet.pk)


@transaction.atomic
def forget_keys(user: User) -> None:
    """Revoke every key of a customer who leaves, and overwrite what they called them. No mail.

    Keys that the customer left to a team are the team's.
    """
    theirs = ApiKey.objects.filter(created_by=user, is_left_to_team=False)
    wallets = _lock_wallets(theirs)
    theirs.filter(revoked_at=None).update(revoked_at=timezone.now())
    theirs.update(
        name="Deleted",
        allowed_networks=[],
        previous_digest=None,
        previous_hint="",
        previous_expires_at=None,
    )
    for wallet in wallets:
        push_on_commit(wallet.pk)


@transaction.atomic
def note_key_changed(key: ApiKey) -> None:
    """Make every process read a changed key again."""
    push_on_commit(get_wallet(key.team).pk)


def has_api_keys(team: Team, *, made_by: User | None = None) -> bool:
    """Tell whether a team, or one of its members, ever made a key; revoked ones included."""
    keys = ApiKey.objects.filter(team=team, is_playground=False)
    return (keys if made_by is None else keys.filter(created_by=made_by)).exists()


def booked_spending(team: Team) -> dict[int, tuple[int, int]]:
    """Return the credits booked for each of a team's keys, in all and this month, by key id."""
    present = month_of(int(timezone.now().timestamp() * 1_000))
    spent: dict[int, tuple[int, int]] = {}
    for row in KeySpending.objects.filter(api_key__team=team):
        total, this_month = spent.get(row.api_key_id, (0, 0))
        is_present = row.month == present
        spent[row.api_key_id] = (
            total + row.charged_credits,
            this_month + (row.charged_credits if is_present else 0),
        )
    return spent


def _as_facts(key: ApiKey) -> dict[str, object]:
    """Return what a key may do, for the audit trail: its networks, which may be somebody's home,
    are only counted.
    """
    facts = asdict(KeySettings.of(key)) | {
        "expires_at": as_fact(key.expires_at),
        "allowed_models": list(key.allowed_models) or None,
        "allowed_networks": len(key.allowed_networks) or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _lock(key: ApiKey) -> ApiKey:
    """Return the key as it is now, locked after its wallet until the transaction ends."""
    lock_wallet(get_wallet(key.team).pk)
    return ApiKey.objects.select_for_update().get(pk=key.pk)


def _lock_wallets(keys: QuerySet[ApiKey]) -> list[Wallet]:
    """Lock the wallets of these keys, in an order that all callers share."""
    teams = keys.order_by().values("team")
    found = Wallet.objects.select_for_update(no_key=True).filter(team__in=teams)
    return list(found.order_by("pk"))


def _forget_previous(key: ApiKey) -> None:
    key.previous_digest, key.previous_hint, key.previous_expires_at = None, "", None
