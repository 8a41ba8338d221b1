"""The audit trail: write a line, read what it tells, and destroy what a person's lines tell.

The trail can only grow, so what is personal in it is sealed with a key of the person concerned.
Erasing the person deletes the key, and their values with it, in every copy of the database.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import reduce
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model

from accounts.models import AuditLine, Membership, PersonKey, Role, Team, User
from common.encryption import decrypt_secret, encrypt_secret

# Where an object says whom it concerns, the first that there is.
PATHS_TO_PERSON = ("user", "buyer", "wallet.team", "order.buyer", "team", "created_by", "given_by")
ERASED = "erased with the account"
MOST_CHARS = 500


@dataclass(frozen=True, slots=True)
class Change:
    """One value before and after, in words."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name}: {self.before or '–'} → {self.after or '–'}"


@dataclass(frozen=True, slots=True)
class Said:
    """What a line tells that may name a person."""

    name: str = ""
    words: str = ""
    reason: str = ""
    changes: Sequence[Change] = field(default=())

    def __str__(self) -> str:
        reason = f"Reason: {self.reason}" if self.reason else ""
        changes = "; ".join(map(str, self.changes))
        return " ".join(filter(None, (self.words, reason, changes)))


@dataclass(frozen=True, slots=True)
class Doer:
    """Who did something: a member of staff, from a network, or whoever ran a command."""

    actor: User | None = None
    network: str = ""
    command: str = ""
    os_user: str = ""


def write_line(
    doer: Doer,
    deed: str,
    *,
    obj: Model | None = None,
    said: Said | None = None,
    person: User | None = None,
    worth_credits: int | None = None,
) -> AuditLine:
    """Add a line to the trail, inside the transaction of the deed."""
    person = person or (find_person(obj) if obj is not None else None)
    facts = asdict(said or Said(name=str(obj or "")[:MOST_CHARS]))
    return AuditLine.objects.create(
        **asdict_of(doer),
        deed=deed[:80],
        model=obj._meta.label_lower if obj is not None else "",
        object_id=str(obj.pk)[:64] if obj is not None else "",
        person=person,
        said=facts if person is None else {"sealed": _seal(person, facts)},
        worth_credits=worth_credits,
    )


def asdict_of(doer: Doer) -> dict[str, Any]:
    """Return the columns of a line that say who did it."""
    return {
        "actor": doer.actor,
        "network": doer.network[:64],
        "command": doer.command[:80],
        "os_user": doer.os_user[:80],
    }


def read_said(line: AuditLine) -> Said:
    """Return what a line tells; that it was erased if the person's key is gone."""
    facts = line.said
    if line.person_id is not None and "sealed" in facts:
        opened = _open(line.person, facts["sealed"])
        if opened is None:
            return Said(name=ERASED, words=ERASED)
        facts = opened
    return Said(**{**facts, "changes": [Change(**each) for each in facts["changes"]]})


def find_person(obj: Model) -> User | None:
    """Return whom an object concerns: somebody themselves, an owner's, or nobody in particular."""
    if isinstance(obj, User):
        return obj
    for found in (obj, *(_follow(obj, path) for path in PATHS_TO_PERSON)):
        owner = (found.person or _first_owner(found)) if isinstance(found, Team) else found
        if isinstance(owner, User):
            return owner
    return None


def forget_person(user: User) -> None:
    """Destroy what the trail tells of a person, inside the caller's transaction."""
    PersonKey.objects.filter(user=user).delete()


def _follow(obj: Model, path: str) -> Any:
    with suppress(AttributeError, ObjectDoesNotExist):
        return reduce(getattr, path.split("."), obj)
    return None


def _first_owner(team: Team) -> User | None:
    seats = Membership.objects.filter(team=team, role=Role.OWNER).select_related("user")
    owner = seats.order_by("pk").first()
    return owner.user if owner else None


def _seal(person: User, facts: dict[str, Any]) -> str:
    made = encrypt_secret(Fernet.generate_key().decode())
    key, _ = PersonKey.objects.get_or_create(user=person, defaults={"encrypted_key": made})
    return _cipher(key).encrypt(json.dumps(facts).encode()).decode()


def _open(person: User | None, sealed: str) -> dict[str, Any] | None:
    with suppress(ObjectDoesNotExist, InvalidToken):
        if person is not None:
            facts: dict[str, Any] = json.loads(_cipher(person.audit_key).decrypt(sealed.encode()))
            return facts
    return None


def _cipher(key: PersonKey) -> Fernet:
    return Fernet(decrypt_secret(bytes(key.encrypted_key)).encode())
