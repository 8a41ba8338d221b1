"""A shop of the release before teams, with everything that can be under way, gets its teams."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

BEFORE = [("accounts", "0001_initial"), ("billing", "0013_domains_of_welcomes")]

# Two customers who bought, and one who never came back: no wallet, no order.
OLD_ROWS = """
INSERT INTO accounts_user (id, email, password, is_superuser, is_staff, is_active, date_joined)
VALUES (1, 'alice@example.com', '', false, false, true, '2026-01-01T00:00:00Z'),
       (2, 'bob@example.com', '', false, false, true, '2026-01-02T00:00:00Z'),
       (3, 'carol@example.com', '', false, false, false, '2026-01-03T00:00:00Z');
INSERT INTO billing_wallet (id, user_id, posted_credits, credited_credits, debt_credits, state,
    frozen_reason, version, pushed_version, created_at)
VALUES (11, 1, 1000, 1000, 0, 'active', '', 7, 7, now()),
       (12, 2, 0, 0, 40, 'frozen', 'dispute', 3, 2, now());
INSERT INTO accounts_apikey (id, user_id, name, digest, hint, previous_hint, allowed_models,
    allowed_networks, created_at)
VALUES (21, 1, 'CI', repeat('a', 64), 'tp_a', '', '{}', '{}', now()),
       (22, 2, 'CI', repeat('b', 64), 'tp_b', '', '{}', '{}', now());
INSERT INTO billing_order (id, public_id, user_id, pack_name, credits, amount_cents, currency,
    stripe_price_id, channel, status, review_reason, stripe_session_url, stripe_payment_intent_id,
    stripe_charge_id, receipt_url, invoice_url, discount_cents, tax_cents, refunded_cents,
    disputed_cents, clawed_back_credits, reinstated_credits, revision, created_at, expires_at,
    next_check_at, fulfilled_at)
SELECT id, gen_random_uuid(), user_id, 'Small', 1000, 900, 'usd', '', channel, status, '', '', '',
    '', '', '', 0, 0, 0, disputed, 0, 0, 0, now(), now(), now(), fulfilled_at
FROM (VALUES (31, 1, 'checkout', 'fulfilled', 0, now()), (32, 1, 'top_up', 'open', 0, NULL),
             (33, 2, 'checkout', 'fulfilled', 900, now()), (34, 2, 'checkout', 'open', 0, NULL))
     AS o (id, user_id, channel, status, disputed, fulfilled_at);
INSERT INTO billing_topupconsent (id, wallet_id, version, text, pack_name, credits, amount_cents,
    currency, threshold_credits, monthly_ceiling_cents, given_at)
VALUES (41, 11, '1', 'Yes', 'Small', 1000, 900, 'usd', 10, 900, now());
INSERT INTO billing_notificationsettings (id, user_id, wants_low_balance, low_balance_credits,
    wants_lot_expiring, wants_top_up_succeeded)
VALUES (51, 1, false, 77, true, true);
INSERT INTO billing_codebatch (id, name, credits, is_promotional, is_one_each, once, created_by_id,
    created_at)
VALUES (61, 'Launch', 500, true, true, gen_random_uuid(), 1, now());
INSERT INTO billing_redeemcode (id, batch_id, digest, hint, is_one_each, redeemed_by_id,
    redeemed_at)
VALUES (71, 61, repeat('c', 64), 'ABCD', true, 2, now()),
       (72, 61, repeat('d', 64), 'EFGH', true, NULL, NULL);
"""


@pytest.fixture
def old_shop(transactional_db: None) -> Iterator[None]:
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    with connection.cursor() as cursor:
        cursor.execute(OLD_ROWS)
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def rows(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def test_everybody_gets_a_team_that_owns_what_was_theirs(old_shop: None) -> None:
    executor = MigrationExecutor(connection)

    executor.migrate(executor.loader.graph.leaf_nodes())

    teams = dict(rows("SELECT person_id, id FROM accounts_team"))
    assert set(teams) == {1, 2, 3}
    assert rows("SELECT user_id, role FROM accounts_membership ORDER BY 1") == [
        (1, "owner"),
        (2, "owner"),
        (3, "owner"),
    ]
    alice, bob = teams[1], teams[2]
    wallets = "SELECT id, team_id, posted_credits, debt_credits, version, pushed_version"
    assert rows(f"{wallets} FROM billing_wallet ORDER BY id") == [
        (11, alice, 1000, 0, 7, 7),
        (12, bob, 0, 40, 3, 2),
    ]
    assert rows("SELECT id, team_id, created_by_id FROM accounts_apikey ORDER BY id") == [
        (21, alice, 1),
        (22, bob, 2),
    ]
    assert rows("SELECT id, team_id, buyer_id, status FROM billing_order ORDER BY id") == [
        (31, alice, 1, "fulfilled"),
        (32, alice, 1, "open"),
        (33, bob, 2, "fulfilled"),
        (34, bob, 2, "open"),
    ]
    assert rows("SELECT given_by_id FROM billing_topupconsent") == [(1,)]
    settings = "SELECT team_id, user_id, low_balance_credits FROM billing_notificationsettings"
    assert rows(settings) == [(alice, 1, 77)]
    codes = "SELECT id, team_id, redeemed_by_id FROM billing_redeemcode ORDER BY id"
    assert rows(codes) == [(71, bob, 2), (72, None, None)]
