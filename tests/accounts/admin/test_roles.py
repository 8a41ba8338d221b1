"""Who of the staff may do what: every page and action of the desk × every role that is shipped.

The rows are compared with the desk's own address patterns and actions: a page, an action or an
address without a row fails. Letters: Support, Finance, Operations, Auditor. Beside them stands a
member of staff in no role, who may do nothing.
"""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.urls import URLPattern, reverse
from psycopg.sql import SQL, Identifier

from accounts.desk.actions import StaffActionsAdmin
from accounts.desk.rights import label_of, say
from accounts.desk.roles import ROLES, make_roles, rights_of
from accounts.models import User
from accounts.teams.members import own_team
from tests import desk

EVERY = "SFOA"
# Of each page, who may see, add, change and delete.
PAGES = {
    "account.emailaddress": (EVERY, "", "", ""),
    "accounts.auditline": ("A", "", "", ""),
    "accounts.agreement": (EVERY, "", "", ""),
    "accounts.legaltext": (EVERY, "", "", ""),
    "accounts.apikey": (EVERY, "", "", ""),
    "accounts.invitation": (EVERY, "", "", ""),
    "accounts.team": (EVERY, "", "", ""),
    "accounts.teamevent": (EVERY, "", "", ""),
    "accounts.user": (EVERY, "", "O", ""),
    "admin.logentry": ("A", "", "", ""),
    "auth.group": ("A", "", "", ""),
    "billing.amountoffer": (EVERY, "", "", ""),
    "billing.approval": ("FA", "", "", ""),
    "billing.autotopup": (EVERY, "", "", ""),
    "billing.codebatch": (EVERY, "F", "", ""),
    "billing.debit": (EVERY, "", "", ""),
    "billing.dispute": (EVERY, "", "", ""),
    "billing.exchangerate": ("FOA", "F", "F", ""),
    "billing.export": ("FOA", "", "", ""),
    "billing.inboxitem": (EVERY, "", "", ""),
    "billing.keywriteoff": (EVERY, "", "", ""),
    "billing.ledgerentry": (EVERY, "", "", ""),
    "billing.lot": (EVERY, "", "", ""),
    "billing.modelprice": (EVERY, "", "", ""),
    "billing.notice": (EVERY, "", "", ""),
    "billing.notificationsettings": (EVERY, "", "", ""),
    "billing.order": (EVERY, "", "", ""),
    "billing.pack": (EVERY, "", "", ""),
    "billing.publicmodel": (EVERY, "O", "O", ""),
    "billing.redeemcode": (EVERY, "", "", ""),
    "billing.refund": (EVERY, "", "", ""),
    "billing.signin": (EVERY, "", "", ""),
    "billing.staffnote": (EVERY, "", "", ""),
    "billing.stripecustomer": (EVERY, "", "", ""),
    "billing.stripeevent": ("FOA", "", "", ""),
    "billing.topupconsent": (EVERY, "", "", ""),
    "billing.topuppayment": (EVERY, "", "", ""),
    "billing.usagerecord": (EVERY, "", "", ""),
    "billing.wallet": (EVERY, "", "", ""),
    "billing.welcomecredit": (EVERY, "", "", ""),
    "mfa.authenticator": (EVERY, "", "", ""),
    "proxy.incident": ("OA", "O", "O", ""),
    "proxy.provider": ("OA", "O", "O", "O"),
    "proxy.providerkey": ("OA", "", "", ""),
    "proxy.route": ("OA", "O", "O", "O"),
}
ACTIONS = {
    "accounts.legaltext publish": "",
    "accounts.apikey limit": "O",
    "accounts.apikey revoke": "SO",
    "billing.approval approve": "F",
    "billing.approval refuse": "F",
    "billing.approval withdraw": "F",
    "billing.autotopup switch-off": "SF",
    "billing.codebatch revoke": "F",
    "billing.export stop": "FO",
    "billing.inboxitem end-hold": "FO",
    "billing.inboxitem let-go": "FO",
    "billing.inboxitem resolve": "FO",
    "billing.inboxitem take": "FO",
    "billing.modelprice cancel": "O",
    "billing.notice send-again": "SFO",
    "billing.order ask-stripe": "SFO",
    "billing.order close": "F",
    "billing.order credit": "F",
    "billing.order refund": "F",
    "billing.order refund-unused": "F",
    "billing.publicmodel set-price": "O",
    "billing.stripeevent process-again": "O",
    "billing.wallet adjust": "F",
    "billing.wallet change-address": "F",
    "billing.wallet delete-account": "",
    "billing.wallet freeze": "O",
    "billing.wallet grant": "F",
    "billing.wallet limit": "O",
    "billing.wallet look": EVERY,
    "billing.wallet note": "SFO",
    "billing.wallet sign-out": "O",
    "billing.wallet unfreeze": "O",
    "proxy.provider close-circuit": "O",
    "proxy.provider ask-balance": "O",
    "proxy.provider fetch-usage": "O",
    "proxy.provider import-models": "O",
    "proxy.provider compare-usage": "O",
    "proxy.provider import-prices": "O",
    "proxy.provider pause": "O",
    "proxy.provider resume": "O",
    "proxy.provider test": "O",
    "proxy.providerkey take-back": "O",
    "proxy.route close-circuit": "O",
    "proxy.route test": "O",
}
# Addresses beside those of Django's pages and of actions, each with an address to try.
OTHERS = {
    "auth_user_password_change": ("/admin/accounts/user/1/password/", ""),
    "billing_export_start": ("/admin/billing/export/start/?table=billing.order", "FO"),
    "billing_export_file": ("/admin/billing/export/0/file/", "FOA"),
    "billing_wallet_statements": ("/admin/billing/wallet/0/statements/", EVERY),
    "billing_wallet_statement": ("/admin/billing/wallet/0/statements/2026-01.csv", EVERY),
    "proxy_health": ("/admin/proxy/provider/health/", "OA"),
}
# Addresses of the desk that are about no page, each with an address to try and the method.
OF_THE_SITE = {
    "end-visit": ("post", "/admin/as/0/end/", EVERY),
    "margin": ("get", "/admin/margin/", "FOA"),
    "search": ("post", "/admin/search/", f"{EVERY}N"),
    "visit": ("get", "/admin/as/0/dashboard/", EVERY),
}
# What Django's own site has for everybody at the desk.
DJANGOS = {
    *("index", "login", "logout", "password_change", "password_change_done", "autocomplete"),
    *("jsi18n", "view_on_site", "app_list"),
}
STANDARD = ("changelist", "add", "change", "delete", "history", "do")
NOBODY = "Nobody"
WHO = [*(role.name for role in ROLES), NOBODY]
REFUSED = 403
each_role = pytest.mark.parametrize("who", WHO)


@pytest.fixture
def roles(db: None) -> None:
    make_roles()


def hire(who: str) -> Client:
    user = User.objects.create_user(f"{who.lower()}@example.com", is_staff=True)
    own_team(user)
    if who != NOBODY:
        user.groups.add(Group.objects.get(name=who))
    return desk.log_in(user)


def is_in(who: str, letters: str) -> bool:
    return who[0] in letters


def page_names() -> set[str]:
    return {model._meta.label_lower for model in admin.site._registry}


def action_names() -> set[str]:
    return {
        f"{model._meta.label_lower} {action.name}"
        for model, page in admin.site._registry.items()
        if isinstance(page, StaffActionsAdmin)
        for action in page.staff_actions
    }


def other_names() -> set[str]:
    names = {
        pattern.name or str(pattern.pattern)
        for page in admin.site._registry.values()
        for pattern in page.get_urls()
        if isinstance(pattern, URLPattern)
    }
    standard = {
        f"{model._meta.label_lower.replace('.', '_')}_{page}"
        for model in admin.site._registry
        for page in STANDARD
    }
    # The last pattern of Django's leads old addresses to the page of change.
    return names - standard - {"<path:object_id>/"}


def test_every_page_action_and_address_has_a_row() -> None:
    assert page_names() == set(PAGES)
    assert action_names() == set(ACTIONS)
    assert other_names() == set(OTHERS)
    # The last pattern answers what is nobody's address.
    assert site_names() - DJANGOS - {"(?P<url>.*)$"} == set(OF_THE_SITE)


def site_names() -> set[str]:
    return {
        pattern.name or str(pattern.pattern)
        for pattern in admin.site.get_urls()
        if isinstance(pattern, URLPattern)
    }


def deeds() -> Iterator[tuple[str, str, str, str]]:
    """Give each deed as its name, method, address, and who may do it."""
    for page, (see, add, change, delete) in PAGES.items():
        base = f"/admin/{page.replace('.', '/')}/"
        yield f"{page} see", "get", base, see
        yield f"{page} see one", "get", f"{base}0/change/", see
        yield f"{page} add", "post", f"{base}add/", add
        yield f"{page} change", "post", f"{base}0/change/", change
        yield f"{page} delete", "post", f"{base}0/delete/", delete
    for name, letters in ACTIONS.items():
        page, _, action = name.partition(" ")
        address = f"/admin/{page.replace('.', '/')}/do/{action}/?ids=0"
        yield name, "post", address, letters
        yield f"{name} (look)", "get", address, letters
    for name, (address, letters) in OTHERS.items():
        yield name, "get", address, letters
    for name, (method, address, letters) in OF_THE_SITE.items():
        yield name, method, address, letters


@each_role
def test_each_role_may_what_its_row_says(who: str, roles: None) -> None:
    browser = hire(who)

    wrong = [
        f"{who} {name}: {status}"
        for name, method, address, letters in deeds()
        if ((status := getattr(browser, method)(address).status_code) != REFUSED)
        != is_in(who, letters)
    ]

    assert not wrong


@each_role
def test_a_refused_deed_changes_nothing(who: str, roles: None) -> None:
    desk.make_customer("alice@example.com")
    browser, before = hire(who), count_rows()

    for _, method, address, letters in deeds():
        if method == "post" and not is_in(who, letters):
            browser.post(address, {"reason": "x", "credits": "5", "name": "x", "post": "yes"})

    assert count_rows() == before


def count_rows() -> dict[str, int]:
    counts = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table)))
            counts[table] = cursor.fetchone()[0]
    return counts


def test_every_right_of_a_role_exists(roles: None) -> None:
    known = {label_of(each) for each in Permission.objects.select_related("content_type")}

    assert {right for role in ROLES for right in rights_of(role)} <= known


def test_roles_are_made_anew_as_they_are_shipped(roles: None) -> None:
    support = Group.objects.get(name="Support")
    support.permissions.add(Permission.objects.get(codename="add_ledgerentry"))

    make_roles()

    rights = {label_of(each) for each in support.permissions.select_related("content_type")}
    assert rights == set(ROLES[0].rights)
    assert Group.objects.filter(name__in=[role.name for role in ROLES]).count() == len(ROLES)


SELLING = ("_pack", "_packprice", "_amountoffer", "_amountstep")


def test_no_role_gives_rights_or_sells(roles: None) -> None:
    rights = {right for role in ROLES for right in rights_of(role) if "view" not in right}

    assert not {right for right in rights if right.startswith(("auth.", "account.", "mfa."))}
    assert "accounts.add_user" not in rights
    assert not {right for right in rights if right.endswith(SELLING)}


def test_an_auditor_changes_nothing(roles: None) -> None:
    granted = set(rights_of(ROLES[-1]))

    assert {right for right in granted if ".view_" not in right} == {"accounts.see_addresses"}


def test_roles_are_told_in_words(roles: None) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    group = Group.objects.get(name="Finance")

    page = root.get(desk.page_url(group)).content.decode()

    assert "Grant, adjust and credit" in page
    assert "Refund orders" in page
    assert "add_ledgerentry" not in page


def test_a_shipped_role_is_not_edited(roles: None) -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    group = Group.objects.get(name="Support")

    assert root.post(desk.page_url(group), {"name": "Mine"}).status_code == REFUSED
    assert root.post(desk.page_url(group, "delete"), {"post": "yes"}).status_code == REFUSED


@pytest.mark.parametrize(
    ("codename", "words"),
    [
        ("view_lot", "See lots"),
        ("ask_stripe", "Ask Stripe again about orders"),
        ("change_wallet", "Freeze and unfreeze wallets, and set their limits"),
    ],
)
def test_rights_have_words(codename: str, words: str, db: None) -> None:
    assert say(Permission.objects.get(codename=codename)) == words


ASKED_AGAIN = [
    ("get", "/admin/billing/wallet/do/grant/?ids={wallet}"),
    ("post", "/admin/billing/wallet/do/grant/?ids={wallet}"),
    ("post", "/admin/billing/wallet/do/adjust/?ids={wallet}"),
    ("get", "/admin/billing/wallet/do/change-address/?ids={wallet}"),
    ("post", "/admin/billing/wallet/do/change-address/?ids={wallet}"),
    ("post", "/admin/billing/order/do/refund/?ids={order}"),
    ("post", "/admin/billing/order/do/refund-unused/?ids={order}"),
    ("post", "/admin/billing/order/do/credit/?ids={order}"),
    ("post", "/admin/accounts/apikey/do/limit/?ids={key}"),
    ("get", "/admin/billing/codebatch/add/"),
    ("post", "/admin/billing/codebatch/add/"),
    ("post", "/admin/accounts/user/{user}/password/"),
]


@pytest.mark.parametrize(("method", "address"), ASKED_AGAIN)
def test_money_keys_and_rights_ask_for_the_password(method: str, address: str, roles: None) -> None:
    alice = desk.make_customer("alice@example.com")
    root, before = away_for_long(), count_rows()
    address = address.format(
        wallet=alice.wallet.pk, order=alice.order.pk, key=alice.key.pk, user=alice.user.pk
    )

    answer = getattr(root, method)(address, {"reason": "x", "credits": "5", "amount_credits": "5"})

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert count_rows() == {**before, "django_session": before["django_session"]}


def test_a_form_of_power_is_kept_until_the_password_is_entered(roles: None) -> None:
    alice = User.objects.create_user("alice@example.com")
    root = away_for_long()

    answer = root.post(desk.page_url(alice), {"is_active": "on", "is_staff": "on"})

    alice.refresh_from_db()
    assert not alice.is_staff
    assert b"Enter your password" in answer.content


def away_for_long() -> Client:
    """Return the browser of a superuser who entered the password hours ago."""
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com", "correct horse battery"))
    return client
