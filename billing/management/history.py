"""Make a history that adds up: customers, orders, lots, entries, receipts and roll-ups.

For measuring pages and audits with as many rows as a shop has after years. All is made in one
transaction, so it is there whole or not at all, from a seed, so that a run can be repeated. Some
customers use far more than others, as in life: the heaviest of 10,000 makes 5 % of all requests.

Every customer buys a pack whenever the balance does not cover the next request. So the n-th order
comes right before the request that takes what was spent beyond n − 1 packs, and every balance
follows from what was spent until then.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.teams.members import make_own_teams
from billing.catalogue.model_prices import set_price
from billing.ledger.agreement import switch_check
from billing.models import PublicModel, Wallet
from billing.rollups.days import day_of
from billing.rollups.rebuild import add_up
from common.money import micros
from common.progress import Progress

DOMAIN = "history.example.com"
PACK_CREDITS, PACK_CENTS = 250_000, 250
KEYS_EACH = 2
# Rows of one statement: PostgreSQL keeps the checks of foreign keys in memory until its end.
CHUNK = 250_000
# The youngest receipt is so old, so that none ends in the future.
REST = timedelta(minutes=5)

# Millicredits per token: prompt, cached prompt, completion. No request costs as much as a pack.
MODELS = {
    "history-large": (3_000, 1_500, 6_000, "acme"),
    "history-medium": (1_000, 500, 2_000, "acme"),
    "history-small": (150, 75, 600, "second"),
}

# A number from 0 to 1 that depends on a row's number, the seed and `use`.
RANDOM = "((hashint8extended(i, %(seed)s * 32 + {use}) & 1048575) / 1048576.0::float8)"


def _random(use: int) -> str:
    return RANDOM.format(use=use)


PLAN = f"""
CREATE TEMPORARY TABLE history ON COMMIT DROP AS
SELECT *, spent * %(micros)s / %(pack)s - (spent - charged) * %(micros)s / %(pack)s AS income
FROM (SELECT *, 'req_h' || %(seed)s || '_' || lpad(i::text, 11, '0') AS request_id,
       target - write_off AS charged,
       (SUM(target - write_off) OVER (PARTITION BY wallet_id ORDER BY i))::bigint AS spent
FROM (
    SELECT *, (CASE WHEN unlucky < 0.002 THEN target / 2 ELSE 0 END)::bigint AS write_off
    FROM (
        SELECT *, (((prompt - cached) * prompt_rate + cached * cached_rate
                    + completion * completion_rate + 999) / 1000)::bigint AS target
        FROM (
            SELECT i, unlucky, is_stream, duration_ms, started_at, outcome,
                   started_at + duration_ms * interval '1 millisecond' AS ended_at,
                   (%(wallets)s::bigint[])[customer] AS wallet_id,
                   (%(keys)s::bigint[])[customer * {KEYS_EACH} - key] AS api_key_id,
                   (%(models)s::text[])[model] AS model_name,
                   (%(providers)s::text[])[model] AS provider_name,
                   (%(prices)s::bigint[])[model] AS price_id,
                   (%(prompt_rates)s::bigint[])[model] AS prompt_rate,
                   (%(cached_rates)s::bigint[])[model] AS cached_rate,
                   (%(completion_rates)s::bigint[])[model] AS completion_rate,
                   CASE outcome WHEN 'broken' THEN 0 ELSE prompt END AS prompt,
                   CASE WHEN outcome <> 'broken' AND prompt > 1024
                        THEN (prompt * caching)::bigint ELSE 0 END AS cached,
                   CASE outcome WHEN 'broken' THEN 0 ELSE completion END AS completion
            FROM (
                SELECT i,
                       1 + floor(%(count)s * power({_random(1)}, 3))::int AS customer,
                       floor({KEYS_EACH} * {_random(2)})::int AS key,
                       1 + floor(%(kinds)s * {_random(3)})::int AS model,
                       floor(50 * power(200, {_random(4)}))::bigint AS prompt,
                       greatest(0, {_random(5)} - 0.5) AS caching,
                       floor(10 * power(150, {_random(6)}))::bigint AS completion,
                       (ARRAY['completed', 'client_left', 'broken', 'abandoned'])[1 + width_bucket(
                           {_random(7)}, ARRAY[0.97, 0.985, 0.995]::float8[])] AS outcome,
                       {_random(8)} AS unlucky,
                       {_random(9)} < 0.6 AS is_stream,
                       floor(200 * power(200, {_random(10)}))::int AS duration_ms,
                       %(start)s::timestamptz + i * %(step)s AS started_at
                FROM generate_series(1, %(records)s::bigint) i
            ) drawn
        ) used
    ) priced
) charged) counted
"""  # noqa: S608  # constants of this module

ORDERS = """
CREATE TEMPORARY TABLE history_orders ON COMMIT DROP AS
SELECT i, n, wallet_id, started_at AS at, n * %(pack)s - (spent - charged) AS balance,
       md5(%(seed)s || ':' || wallet_id || ':' || n)::uuid AS public_id
FROM history, generate_series((spent - charged + %(pack)s - 1) / %(pack)s + 1,
                              (spent + %(pack)s - 1) / %(pack)s) n
"""

PUT_ORDERS = """
INSERT INTO billing_order (public_id, team_id, buyer_id, pack_name, credits, amount_cents, currency,
    stripe_price_id, channel, status, review_reason, stripe_session_url, stripe_payment_intent_id,
    stripe_charge_id, receipt_url, invoice_url, paid_cents, discount_cents, tax_cents,
    refunded_cents, disputed_cents, clawed_back_credits, reinstated_credits, revision, created_at,
    expires_at, fulfilled_at, next_check_at)
SELECT o.public_id, w.team_id, t.person_id, 'History', %(pack)s, %(cents)s, 'usd', '', 'checkout',
    'fulfilled', '', '', '', '', '', '', %(cents)s, 0, 0, 0, 0, 0, 0, 1, o.at,
    o.at + interval '1 hour', o.at, o.at
FROM history_orders o JOIN billing_wallet w ON w.id = o.wallet_id
JOIN accounts_team t ON t.id = w.team_id ORDER BY o.i, o.n
"""

PUT_REVENUE = """
INSERT INTO billing_revenue (order_id, kind, currency, micros, created_at)
SELECT o.id, 'sale', 'usd', %(micros)s, o.fulfilled_at
FROM billing_order o JOIN history_orders h ON h.public_id = o.public_id ORDER BY o.id
"""

PUT_ENTRIES = """
INSERT INTO billing_ledgerentry (wallet_id, kind, amount_credits, balance_credits, reference,
    reason, created_at)
SELECT wallet_id, kind, amount, balance, reference, '', at
FROM (
    SELECT i, n, wallet_id, 'purchase' AS kind, %(pack)s AS amount, balance,
           public_id::text AS reference, at
    FROM history_orders WHERE i > %(after)s AND i <= %(upto)s
    UNION ALL
    SELECT i, NULL, wallet_id, 'usage', -charged,
           (spent + %(pack)s - 1) / %(pack)s * %(pack)s - spent, request_id, ended_at
    FROM history WHERE charged > 0 AND i > %(after)s AND i <= %(upto)s
) entries ORDER BY i, n NULLS LAST
"""

PUT_RECEIPTS = """
INSERT INTO billing_usagerecord (request_id, wallet_id, api_key_id, price_id, model_name,
    provider_name, endpoint, is_stream, attempts, prompt_tokens, cached_tokens, cache_write_tokens,
    prompt_audio_tokens, prompt_image_tokens, completion_tokens, reasoning_tokens,
    completion_audio_tokens, outcome, source, held_credits, target_credits, charged_credits,
    write_off_credits, cost_nanos, income_micros, started_at, ended_at, first_byte_ms)
SELECT request_id, wallet_id, api_key_id, price_id, model_name, provider_name, 'chat.completions',
    is_stream, 1, prompt, cached, 0, 0, 0, completion, completion / 8, 0, outcome, 'reported',
    target * 2, target, charged, write_off,
    CASE WHEN unlucky < 0.98 THEN target * 600 END,
    CASE WHEN income > 0 THEN jsonb_build_object('usd', income) ELSE '{}' END, started_at, ended_at,
    CASE WHEN is_stream THEN duration_ms / 4 END
FROM history WHERE i > %(after)s AND i <= %(upto)s ORDER BY i
"""

PUT_LOTS = """
INSERT INTO billing_lot (wallet_id, entry_id, is_promotional, granted_credits, remaining_credits,
    currency, paid_micros, created_at)
SELECT o.wallet_id, e.id, false, %(pack)s,
    greatest(0, o.n * %(pack)s - t.spent), 'usd', %(micros)s, o.at
FROM history_orders o
JOIN billing_ledgerentry e ON e.kind = 'purchase' AND e.reference = o.public_id::text
JOIN (SELECT wallet_id, MAX(spent) AS spent FROM history GROUP BY 1) t
     ON t.wallet_id = o.wallet_id
ORDER BY o.i, o.n
"""

PUT_SUMS = """
UPDATE billing_wallet w
   SET posted_credits = t.bought - t.spent, credited_credits = t.bought, version = w.version + 1
  FROM (SELECT wallet_id, MAX(spent) AS spent,
               (MAX(spent) + %(pack)s - 1) / %(pack)s * %(pack)s AS bought
          FROM history GROUP BY 1) t WHERE w.id = t.wallet_id;
INSERT INTO billing_keyspending (api_key_id, month, charged_credits)
SELECT api_key_id, to_char(started_at AT TIME ZONE 'UTC', 'YYYYMM')::int, SUM(charged)
  FROM history GROUP BY 1, 2;
UPDATE accounts_apikey k SET last_used_at = u.at
  FROM (SELECT api_key_id, MAX(ended_at) AS at FROM history GROUP BY 1) u WHERE k.id = u.api_key_id;
INSERT INTO billing_rollupmark (wallet_id, record_id)
SELECT r.wallet_id, MAX(r.id) FROM billing_usagerecord r
  JOIN unnest(%(wallets)s::bigint[]) AS w(id) ON w.id = r.wallet_id GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class History:
    """How much is to be made. `report` is given a sentence before each step."""

    records: int
    wallets: int
    days: int
    seed: int
    report: Progress


@transaction.atomic
def make_history(history: History) -> None:
    """Make it in one transaction. The caller has made sure that nobody's books are touched."""
    start = timezone.now() - REST - timedelta(days=history.days)
    history.report(f"{history.wallets:,} customers")
    wallets, keys = _make_customers(history, start)
    values = {
        **_prices(),
        "seed": history.seed,
        "records": history.records,
        "count": history.wallets,
        "wallets": wallets,
        "keys": keys,
        "start": start,
        "step": timedelta(days=history.days) / history.records,
        "pack": PACK_CREDITS,
        "cents": PACK_CENTS,
        "micros": micros(PACK_CENTS, "usd"),
    }
    # Entries, lots and balances are put in apart from each other.
    switch_check(on=False)
    with connection.cursor() as cursor:
        # Each statement checks its own rows.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        history.report("a plan of all requests")
        cursor.execute(PLAN, values)
        cursor.execute("CREATE INDEX ON history (i)")
        cursor.execute("ANALYZE history")
        history.report("orders")
        cursor.execute(ORDERS, values)
        cursor.execute(PUT_ORDERS, values)
        cursor.execute(PUT_REVENUE, values)
        for after in range(0, history.records, CHUNK):
            step = f"receipts and entries of requests from {after + 1:,}"
            history.report(step, done=after, of=history.records)
            chunk = {**values, "after": after, "upto": after + CHUNK}
            cursor.execute(PUT_RECEIPTS, chunk)
            cursor.execute(PUT_ENTRIES, chunk)
        history.report("lots, balances and what keys spent")
        cursor.execute(PUT_LOTS, values)
        for statement in PUT_SUMS.split(";"):
            cursor.execute(statement, values)
        cursor.execute("ANALYZE")
    for day in range(history.days + 1):
        step = f"roll-ups of day {day + 1} of {history.days + 1}"
        history.report(step, done=day, of=history.days + 1)
        # From midnight to midnight, or each call would make two days.
        add_up(day_of(start) + timedelta(days=day), day_of(start) + timedelta(days=day + 1))
    switch_check(on=True)


def _make_customers(history: History, at: datetime) -> tuple[Sequence[int], Sequence[int]]:
    """Return the ids of the wallets and of their keys, each customer's keys in a row."""
    password = make_password(None)
    users = User.objects.bulk_create(
        [
            User(email=f"{n}.{history.seed}@{DOMAIN}", password=password, date_joined=at)
            for n in range(1, history.wallets + 1)
        ],
        batch_size=5_000,
    )
    wallets = Wallet.objects.bulk_create(
        [Wallet(team=team, created_at=at) for team in make_own_teams(users)], batch_size=5_000
    )
    keys = ApiKey.objects.bulk_create(
        [
            ApiKey(
                team=wallet.team,
                created_by=user,
                name=f"Key {n + 1}",
                digest=_digest(user, n),
                hint="tp_hi…ry",
            )
            for user, wallet in zip(users, wallets, strict=True)
            for n in range(KEYS_EACH)
        ],
        batch_size=5_000,
    )
    return [wallet.pk for wallet in wallets], [key.pk for key in keys]


def _digest(user: User, number: int) -> str:
    """Return a digest that no secret has."""
    return hashlib.sha256(f"{user.email} {number}".encode()).hexdigest()


def _prices() -> dict[str, Any]:
    """Return the models, their providers, prices and rates, each as a list."""
    prices = [
        set_price(
            PublicModel.objects.get_or_create(name=name, defaults={"is_active": False})[0],
            prompt_rate_millicredits=prompt,
            cached_prompt_rate_millicredits=cached,
            completion_rate_millicredits=completion,
        ).pk
        for name, (prompt, cached, completion, _) in MODELS.items()
    ]
    prompt, cached, completion, providers = map(list, zip(*MODELS.values(), strict=True))
    return {
        "kinds": len(MODELS),
        "models": list(MODELS),
        "providers": providers,
        "prices": prices,
        "prompt_rates": prompt,
        "cached_rates": cached,
        "completion_rates": completion,
    }
