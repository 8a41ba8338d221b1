"""The audit trail: who did what, before and after, from where; and what erasing a person leaves."""

import importlib
import pkgutil
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection, transaction
from django.test import Client
from pytest_django import Settings

from accounts.audit import ERASED, Change, forget_person, read_said
from accounts.desk.commands import RecordedCommand
from accounts.models import AuditLine, PersonKey, User
from billing.models import Pack, Wallet
from proxy.models import Provider, ProviderKey
from tests import desk

# They change nothing; or, in the last one's case, the tables that they would write to.
UNRECORDED = {"audit_money", "check_stripe", "restore_books"}
WHY = {"reason": "Asked for by mail"}


def lines() -> list[AuditLine]:
    return list(AuditLine.objects.order_by("pk"))


def test_a_form_is_told_before_and_after(root: Client, alice: User) -> None:
    root.post(desk.page_url(alice), {"is_active": "", "is_staff": "on"}, REMOTE_ADDR="203.0.113.7")

    [line] = lines()
    assert (str(line.actor), line.network) == ("root@example.com", "203.0.113.0/24")
    assert (line.deed, line.model, line.object_id) == ("Changed", "accounts.user", str(alice.pk))
    assert line.person == alice
    said = read_said(line)
    assert said.name == "alice@example.com"
    assert set(said.changes) == {Change("Active", "yes", "no"), Change("Staff status", "no", "yes")}


def test_rights_are_told_by_name(root: Client, alice: User) -> None:
    from django.contrib.auth.models import Group

    group = Group.objects.create(name="Helpers")
    root.post(desk.page_url(alice), {"is_active": "on", "groups": [group.pk]})

    assert read_said(lines()[0]).changes == [Change("Groups", "", "Helpers")]


def test_an_action_is_told_before_and_after(root: Client) -> None:
    buyer = desk.make_customer("alice@example.com")

    root.post(desk.do_url("freeze", buyer.wallet), WHY)

    said = read_said(lines()[0])
    assert (lines()[0].deed, said.words, said.reason) == ("Freeze", "Frozen.", WHY["reason"])
    assert Change("state", "Active", "Frozen") in said.changes


def test_a_row_in_a_list_and_rows_below_a_form_are_told(root: Client) -> None:
    pack = Pack.objects.create(name="Big", slug="big", credits=10, price_cents=100)
    provider = desk.make_provider()
    ProviderKey.objects.create(
        provider=provider, encrypted_secret=b"x", hint="abcd", origin="https://api.example.com"
    )
    url = desk.list_url(Pack)
    form = {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": str(pack.pk)}

    root.post(url, {**form, "form-0-order": "7", "_save": "Save"})

    said = {str(each) for line in lines() for each in read_said(line).changes}
    assert any(each.startswith("Order: ") and each.endswith("→ 7") for each in said)


def test_no_secret_is_told(root: Client, alice: User) -> None:
    password = "correct horse battery"
    root.post(
        f"/admin/accounts/user/{alice.pk}/password/",
        {"password1": password, "password2": password, "usable_password": "true"},
    )

    [line] = lines()
    said = str(read_said(line))
    assert "(not shown)" in said
    assert password not in said
    alice.refresh_from_db()
    assert alice.password not in said


def test_what_is_deleted_is_told(root: Client) -> None:
    provider = desk.make_provider("acme")
    provider.routes.all().delete()

    root.post(desk.page_url(provider, "delete"), {"post": "yes"})

    assert not Provider.objects.exists()
    changes = [str(each) for each in read_said(lines()[0]).changes]
    assert "name: acme → –" in changes


def test_a_line_and_its_deed_come_together(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    buyer = desk.make_customer("alice@example.com")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditline ADD CONSTRAINT is_full CHECK (false)")

    with pytest.raises(DatabaseError), transaction.atomic():
        root.post(desk.do_url("grant", buyer.wallet), {**WHY, "credits": "5", "once": ONCE})

    assert Wallet.objects.get(pk=buyer.wallet.pk).posted_credits == 1_000


ONCE = "6a1f0c1e-3b0e-4c37-9b8a-0d6a3f1d2c4b"


@pytest.mark.parametrize(
    "statement",
    ["UPDATE accounts_auditline SET deed = 'x'", "DELETE FROM accounts_auditline"],
)
def test_a_line_is_never_changed(statement: str, root: Client, alice: User) -> None:
    root.post(desk.page_url(alice), {"is_active": ""})

    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)

    assert len(lines()) == 1


def test_what_names_a_person_is_sealed(root: Client) -> None:
    buyer = desk.make_customer("alice@example.com")

    root.post(desk.do_url("freeze", buyer.wallet), {"reason": "Alice wrote from Springfield"})

    [kept] = AuditLine.objects.values_list("said", flat=True)
    assert set(kept) == {"sealed"}
    assert "Springfield" not in str(kept)


def test_erasing_a_person_destroys_what_is_told_of_them(root: Client) -> None:
    buyer, bob = desk.make_customer("alice@example.com"), desk.make_customer("bob@example.com")
    root.post(desk.do_url("freeze", buyer.wallet, bob.wallet), {"reason": "Odd calls"})

    forget_person(buyer.user)

    said = {line.person: read_said(line) for line in lines()}
    assert said[buyer.user].words == ERASED
    assert said[bob.user].reason == "Odd calls"
    assert not PersonKey.objects.filter(user=buyer.user).exists()
    # Who did what and when remains.
    assert root.get(desk.list_url(AuditLine)).content.decode().count("Freeze") == 2


def test_a_persons_key_is_encrypted_and_renewed(root: Client, settings: Settings) -> None:
    buyer = desk.make_customer("alice@example.com")
    root.post(desk.do_url("freeze", buyer.wallet), WHY)

    old = settings.PROVIDER_KEYS_SECRETS
    settings.PROVIDER_KEYS_SECRETS = [Fernet.generate_key().decode(), *old]
    call_command("reencrypt_secrets", verbosity=0)
    settings.PROVIDER_KEYS_SECRETS = settings.PROVIDER_KEYS_SECRETS[:1]

    assert read_said(lines()[0]).words == "Frozen."


def test_the_trail_is_searched_and_read(root: Client) -> None:
    buyer = desk.make_customer("alice@example.com")
    desk.make_customer("bob@example.com")
    root.post(desk.do_url("freeze", buyer.wallet), WHY)

    found = {
        text: len(root.get(desk.list_url(AuditLine), {"q": text}).context["cl"].result_list)
        for text in ("alice@example.com", "root@example.com", "Freeze", "bob@example.com")
    }
    history = root.get(desk.page_url(buyer.wallet, "history")).content.decode()

    assert found == {
        "alice@example.com": 1,
        "root@example.com": 1,
        "Freeze": 1,
        "bob@example.com": 0,
    }
    assert "state: Active → Frozen" in history
    assert root.get(desk.page_url(lines()[0])).status_code == 200
    assert root.post(desk.page_url(lines()[0]), {"deed": "x"}).status_code == 403


def test_a_command_is_told_with_who_ran_it(alice: User, redis_wallets: object) -> None:
    call_command("grant_credits", "alice@example.com", "50", reason="Sorry", verbosity=0)

    [line] = lines()
    assert (line.actor, line.command, line.deed) == (None, "grant_credits", "Ran a command")
    assert line.os_user
    assert line.person == alice
    assert read_said(line).words == "email alice@example.com, credits 50, reason Sorry"


def test_a_command_that_fails_is_told(db: None) -> None:
    with pytest.raises(CommandError):
        call_command("grant_credits", "no address", "50", reason="Sorry", verbosity=0)

    assert [line.deed for line in lines()] == ["Ran a command", "A command failed"]
    assert "no address" not in str([read_said(line) for line in lines()])


def commands() -> dict[str, type[BaseCommand]]:
    found: dict[str, Any] = {}
    for app in ("accounts", "billing", "proxy"):
        package = importlib.import_module(f"{app}.management.commands")
        for module in pkgutil.iter_modules(package.__path__):
            name = f"{package.__name__}.{module.name}"
            found[module.name] = importlib.import_module(name).Command
    return found


def test_every_command_that_changes_something_is_recorded() -> None:
    silent = {
        name for name, command in commands().items() if not issubclass(command, RecordedCommand)
    }

    assert silent == UNRECORDED


def test_no_command_records_a_secret() -> None:
    recorded = {each for command in commands().values() for each in recorded_by(command)}

    assert not {each for each in recorded if "key" in each or "secret" in each}


def recorded_by(command: type[BaseCommand]) -> tuple[str, ...]:
    return command.recorded if issubclass(command, RecordedCommand) else ()
