"""Staff look at a customer's dashboard: as they see it, read-only, for minutes, and recorded."""

from datetime import timedelta

import pytest
import time_machine
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.core import mail
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.audit import read_said
from accounts.desk.roles import make_roles
from accounts.models import AuditLine, Membership, Role, User
from accounts.teams.members import found_team, own_seat
from billing.desk.visits import PAGES
from billing.ledger.wallets import get_wallet
from billing.models import Notice, NotificationSettings, SignIn
from tests import desk
from tests.rows import everything

REASON = "They see no credits"


@pytest.fixture
def support(db: None) -> Client:
    make_roles()
    user = User.objects.create_user("sue@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name="Support"))
    return desk.log_in(user)


def visit(browser: Client, buyer: desk.Buyer) -> str:
    """Start a visit; return how the addresses of its pages begin."""
    seat = own_seat(buyer.user)
    answer = browser.post(
        desk.do_url("look", buyer.wallet), {"member": str(seat.pk), "reason": REASON}
    )
    assert answer.status_code == 302, answer.content
    return str(answer.headers["Location"]).removesuffix("dashboard/")


def pages_of(base: str, buyer: desk.Buyer, seat: Membership) -> dict[str, str]:
    return {
        "dashboard": f"{base}dashboard/",
        "dashboard-key": f"{base}dashboard/keys/{buyer.key.pk}/",
        "dashboard-keys": f"{base}dashboard/keys/",
        "dashboard-order": f"{base}dashboard/orders/{buyer.order.public_id}/",
        "dashboard-orders": f"{base}dashboard/orders/",
        "dashboard-receipt": f"{base}dashboard/usage/{buyer.record.request_id}/",
        "dashboard-redeem": f"{base}dashboard/redeem/",
        "dashboard-statements": f"{base}dashboard/statements/",
        "dashboard-top-up": f"{base}dashboard/top-up/",
        "dashboard-usage": f"{base}dashboard/usage/",
        "settings-notifications": f"{base}dashboard/settings/notifications/",
        "settings-profile": f"{base}dashboard/settings/profile/",
        "team": f"{base}dashboard/team/",
        "team-events": f"{base}dashboard/team/events/",
        "team-invitations": f"{base}dashboard/team/invitations/",
        "team-member": f"{base}dashboard/team/members/{seat.pk}/",
    }


def test_every_page_is_shown_as_the_customer_sees_it(root: Client, alice: desk.Buyer) -> None:
    pages = pages_of(visit(root, alice), alice, own_seat(alice.user))

    answers = {name: root.get(path) for name, path in pages.items()}

    assert pages.keys() == PAGES
    wrong = {name: each.status_code for name, each in answers.items() if each.status_code != 200}
    assert not wrong
    for name, answer in answers.items():
        text = answer.content.decode()
        assert "Read-only." in text, name
        assert "alice@example.com" in text, name
        assert '="/dashboard/' not in text, name
        assert "no-store" in answer.headers["Cache-Control"], name


def test_a_visit_says_who_whom_until_when_and_why(root: Client, alice: desk.Buyer) -> None:
    base = visit(root, alice)

    line = desk.last_record()
    assert (line.deed, line.actor, line.person) == (
        "See their dashboard",
        User.objects.get(email="root@example.com"),
        alice.user,
    )
    assert f"member {own_seat(alice.user).pk}" in desk.said()
    assert REASON in desk.said()

    root.post(f"{base}end/")

    assert desk.last_record().deed == "Ended looking at a dashboard"
    assert read_said(desk.last_record()).name == "Wallet of alice@example.com"


def test_nothing_comes_of_it_but_its_record(root: Client, alice: desk.Buyer) -> None:
    # The page of notifications makes this row when it is first opened.
    NotificationSettings.objects.all().delete()
    pages = pages_of(visit(root, alice), alice, own_seat(alice.user))
    before = everything()

    for path in pages.values():
        root.get(path)

    assert everything() == before


def test_the_customer_is_not_logged_in_by_it(root: Client, alice: desk.Buyer) -> None:
    root.get(f"{visit(root, alice)}dashboard/")

    alice.user.refresh_from_db()
    assert alice.user.last_login is None
    assert not UserSession.objects.filter(user=alice.user).exists()
    assert not SignIn.objects.filter(user=alice.user).exists()
    assert not Notice.objects.filter(user=alice.user).exists()
    assert mail.outbox == []
    # The member of staff is still themselves, at the desk and on their own dashboard.
    assert root.get("/admin/").status_code == 200
    assert "root@example.com" in root.get("/dashboard/").content.decode()


def addresses(resolver: URLResolver | None = None, prefix: str = "") -> list[tuple[str, str]]:
    """Return every address of the site that needs no id, with its name."""
    found = []
    for each in (resolver or get_resolver()).url_patterns:
        route = prefix + str(each.pattern)
        if isinstance(each, URLPattern):
            if not any(mark in route for mark in "<(^"):
                found.append((each.name or "", route))
        elif not route.startswith("admin"):
            found += addresses(each, route)
    return found


def test_no_other_page_is_shown_and_nothing_is_posted(root: Client, alice: desk.Buyer) -> None:
    base = visit(root, alice)
    key = f"dashboard/keys/{alice.key.pk}/"
    order = f"dashboard/orders/{alice.order.public_id}/"
    own_seat(User.objects.get(email="root@example.com"))
    before = everything()

    for name, path in [
        *addresses(),
        ("", f"{key}rotate/"),
        ("", f"{key}revoke/"),
        ("", f"{order}refund/"),
        ("", "dashboard/statements/2026-03.pdf"),
        ("", "admin/"),
    ]:
        looked, posted = root.get(base + path), root.post(base + path, {"name": "Mine"})
        if name not in PAGES:
            assert looked.status_code in (403, 404), path
        assert posted.status_code in (403, 404), path
    for path in (f"{key}", f"{key}revoke/", "dashboard/keys/new/", "dashboard/playground/key/"):
        assert root.post(base + path, {"name": "Mine"}).status_code == 403

    assert everything() == before


def test_another_member_is_not_visited_along(root: Client, alice: desk.Buyer) -> None:
    bob = desk.make_customer("bob@example.com")
    base = visit(root, alice)

    at_bob = root.get(base.replace(str(own_seat(alice.user).pk), str(own_seat(bob.user).pk)))
    his_key = root.get(f"{base}dashboard/keys/{bob.key.pk}/")

    assert at_bob.status_code in (302, 404)
    assert his_key.status_code == 404


def test_it_is_over_after_its_minutes(root: Client, alice: desk.Buyer) -> None:
    with time_machine.travel(desk.just_now(), tick=False) as clock:
        base = visit(root, alice)
        clock.shift(timedelta(minutes=14, seconds=59))
        in_time = root.get(f"{base}dashboard/")
        clock.shift(timedelta(seconds=2))
        too_late = root.get(f"{base}dashboard/")

    assert in_time.status_code == 200
    assert too_late.headers["Location"] == desk.do_url("look", alice.wallet)


def test_its_button_ends_it(root: Client, alice: desk.Buyer) -> None:
    base = visit(root, alice)

    answer = root.post(f"{base}end/")

    assert answer.headers["Location"] == desk.page_url(alice.wallet)
    assert root.get(f"{base}dashboard/").status_code == 302


def test_it_is_of_one_browser(root: Client, alice: desk.Buyer) -> None:
    base = visit(root, alice)
    colleague = desk.log_in(User.objects.create_superuser("rita@example.com"))

    assert colleague.get(f"{base}dashboard/").status_code == 302
    assert Client().get(f"{base}dashboard/").headers["Location"].startswith("/admin/login/")
    assert desk.log_in(alice.user).get(f"{base}dashboard/").status_code == 302


def test_addresses_stay_masked_for_support(support: Client, alice: desk.Buyer) -> None:
    page = support.get(f"{visit(support, alice)}dashboard/").content.decode()

    assert "a…@example.com" in page
    assert "alice@example.com" not in page


def test_a_right_that_was_taken_ends_it(support: Client, alice: desk.Buyer) -> None:
    base = visit(support, alice)

    User.objects.get(email="sue@example.com").groups.clear()

    assert support.get(f"{base}dashboard/").status_code == 403


@pytest.mark.parametrize("power", ["is_staff", "is_superuser"])
def test_staff_are_not_visited(power: str, root: Client, alice: desk.Buyer) -> None:
    base = visit(root, alice)
    User.objects.filter(pk=alice.user.pk).update(**{power: True})

    lines = AuditLine.objects.count()
    shown = root.get(f"{base}dashboard/")
    root.post(
        desk.do_url("look", alice.wallet),
        {"member": str(own_seat(alice.user).pk), "reason": REASON},
    )

    assert shown.status_code == 404
    assert AuditLine.objects.count() == lines


def test_a_member_sees_what_their_role_sees(root: Client, alice: desk.Buyer) -> None:
    seat = found_team(alice.user, "Acme")
    dora = User.objects.create_user("dora@example.com")
    member = Membership.objects.create(team=seat.team, user=dora, role=Role.DEVELOPER)
    wallet = get_wallet(seat.team)

    answer = root.post(desk.do_url("look", wallet), {"member": str(member.pk), "reason": REASON})
    base = answer.headers["Location"].removesuffix("dashboard/")

    assert root.get(f"{base}dashboard/keys/").status_code == 200
    assert root.get(f"{base}dashboard/orders/").status_code == 403
    # The trail names a member by number: what is sealed for one person tells of no other.
    assert "dora@example.com" not in desk.said()
