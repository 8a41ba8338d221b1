"""The audit's queries to PostgreSQL. Each returns rows of (what it concerns, what is wrong)."""

from billing.audit import income
from billing.ledger.references import (
    Code,
    DebtPaidBy,
    DebtPayment,
    LapsedLot,
    Welcome,
    first_part_sql,
)
from billing.rollups import checks
from billing.token_classes import BY_NAME, CLASSES, PARTS, TokenClass

# How the references of these forms begin, for LIKE and for joins.
PAID_BY_CREDIT = f"'{DebtPaidBy.prefix()}%'"
PAID_BY_DEBIT = f"'{DebtPayment.prefix()}%'"
LAPSED = f"'{LapsedLot.prefix()}%'"
CODE = f"'{Code.prefix()}'"
WELCOME = f"'{Welcome.prefix()}'"

USAGE_ENTRIES = f"SELECT {first_part_sql('reference')} AS request_id, wallet_id, -SUM(amount_credits) AS charged FROM billing_ledgerentry WHERE kind = 'usage' GROUP BY 1, 2"  # noqa: E501, S608


def _millicredits_of(each: TokenClass) -> str:
    """Return the SQL of what one class costs, without the tokens that are in its parts."""
    parts = "".join(f" - u.{part.count}" for part in PARTS.get(each, ()))
    rate = f"p.{each.price_rate}"
    if not each.has_own_rate:
        rate = f"COALESCE({rate}, p.{BY_NAME[each.parent].price_rate})"
    return f"(u.{each.count}{parts})::numeric * {rate}"


MILLICREDITS_OF_USAGE = " + ".join(_millicredits_of(each) for each in CLASSES)

QUERIES: list[tuple[int, str]] = [
    (
        1,
        f"""
        SELECT 'wallet ' || w.id, format('posted %s, debt %s, ledger %s, decided by PostgreSQL %s, '
               'credited %s', w.posted_credits, w.debt_credits, COALESCE(e.total, 0),
               COALESCE(e.credited, 0), w.credited_credits)
        FROM billing_wallet w LEFT JOIN (
            SELECT wallet_id, SUM(amount_credits) AS total,
                   SUM(amount_credits) FILTER (
                       WHERE kind IN ('purchase', 'grant', 'reinstatement')
                       OR (kind = 'adjustment' AND amount_credits > 0)
                       OR (kind = 'clawback' AND reference LIKE {PAID_BY_CREDIT})
                       OR (kind = 'expiry' AND reference LIKE {LAPSED})) AS credited
            FROM billing_ledgerentry GROUP BY wallet_id
        ) e ON e.wallet_id = w.id
        WHERE w.posted_credits <> COALESCE(e.total, 0) OR w.posted_credits < 0
           OR w.debt_credits < 0 OR w.credited_credits <> COALESCE(e.credited, 0)
        """,  # noqa: S608  # constants of the ledger
    ),
    (
        1,
        """
        SELECT 'ledger entry ' || id, format('balance %s after %s does not follow from %s',
               balance_credits, amount_credits, before)
        FROM (SELECT id, amount_credits, balance_credits,
                     LAG(balance_credits, 1, 0::bigint)
                         OVER (PARTITION BY wallet_id ORDER BY id) AS before
              FROM billing_ledgerentry) chain
        WHERE balance_credits <> before + amount_credits OR balance_credits < 0
        """,
    ),
    (
        # What clawbacks could not take is owed, until a debit or a credit pays it.
        1,
        f"""
        SELECT 'wallet ' || w.id, format('debt %s, clawbacks left %s, of which credits paid %s',
               w.debt_credits, COALESCE(d.owed, 0), COALESCE(e.paid, 0))
        FROM billing_wallet w LEFT JOIN (
            SELECT wallet_id, SUM(CASE WHEN reference LIKE {PAID_BY_DEBIT} THEN -taken_credits
                                       ELSE amount_credits - taken_credits END) AS owed
            FROM billing_debit WHERE kind = 'clawback' AND booked_at IS NOT NULL GROUP BY 1
        ) d ON d.wallet_id = w.id LEFT JOIN (
            SELECT wallet_id, -SUM(amount_credits) AS paid
            FROM billing_ledgerentry
            WHERE kind = 'clawback' AND reference LIKE {PAID_BY_CREDIT} GROUP BY 1
        ) e ON e.wallet_id = w.id
        WHERE w.debt_credits <> COALESCE(d.owed, 0) - COALESCE(e.paid, 0)
        """,  # noqa: S608  # constants of the ledger
    ),
    (
        # A debit is open, took nothing, or took what its one entry says at the entry's time.
        1,
        f"""
        SELECT COALESCE('debit ' || d.id, 'ledger entry ' || e.id),
               format('%s %s took %s at %s, ledger says %s at %s', COALESCE(d.kind, e.kind),
                      COALESCE(d.reference, e.reference), d.taken_credits, d.booked_at,
                      e.amount_credits, e.created_at)
        FROM billing_debit d FULL JOIN (
            SELECT * FROM billing_ledgerentry
             WHERE kind IN ('clawback', 'expiry', 'adjustment') AND amount_credits < 0
               AND reference NOT LIKE {PAID_BY_CREDIT}
        ) e ON e.kind = d.kind AND e.reference = d.reference AND e.wallet_id = d.wallet_id
        WHERE d.id IS NULL OR (d.booked_at IS NULL) <> (d.taken_credits IS NULL)
           OR COALESCE(d.taken_credits, 0) <> -COALESCE(e.amount_credits, 0)
           OR d.taken_credits > d.amount_credits
           OR d.booked_at NOT BETWEEN e.created_at - interval '1 minute'
                                  AND e.created_at + interval '1 minute'
        """,  # noqa: S608  # constants of the ledger
    ),
    (
        3,
        """
        SELECT 'wallet ' || w.id, format('in %s, left %s, charged %s, clawed back %s, expired %s, '
               'adjusted %s', s.came_in, w.posted_credits, s.charged, s.clawed_back, s.expired,
               s.adjusted)
        FROM billing_wallet w JOIN (
            SELECT w2.id,
                COALESCE(SUM(e.amount_credits) FILTER (
                    WHERE e.kind IN ('purchase', 'grant', 'reinstatement')), 0) AS came_in,
                (SELECT COALESCE(SUM(u.charged_credits), 0) FROM billing_usagerecord u
                  WHERE u.wallet_id = w2.id) AS charged,
                COALESCE(-SUM(e.amount_credits) FILTER (WHERE e.kind = 'clawback'), 0)
                    AS clawed_back,
                COALESCE(-SUM(e.amount_credits) FILTER (WHERE e.kind = 'expiry'), 0) AS expired,
                COALESCE(SUM(e.amount_credits) FILTER (WHERE e.kind = 'adjustment'), 0) AS adjusted
            FROM billing_wallet w2 LEFT JOIN billing_ledgerentry e ON e.wallet_id = w2.id
            GROUP BY w2.id
        ) s ON s.id = w.id
        WHERE s.came_in <> w.posted_credits + s.charged + s.clawed_back + s.expired - s.adjusted
        """,
    ),
    (
        5,
        f"""
        SELECT 'request ' || COALESCE(u.request_id, e.request_id),
               format('receipt says %s charged, %s written off of %s; ledger says %s',
                      u.charged_credits, u.write_off_credits, u.target_credits, e.charged)
        FROM billing_usagerecord u FULL JOIN ({USAGE_ENTRIES}) e
             ON e.request_id = u.request_id AND e.wallet_id = u.wallet_id
        WHERE COALESCE(u.charged_credits, -1) <> COALESCE(e.charged, 0)
           OR u.charged_credits + u.write_off_credits <> u.target_credits
        """,  # noqa: S608  # a constant of this module
    ),
    (
        5,
        f"""
        SELECT 'request ' || u.request_id, format('costs %s by its price, receipt says %s',
               cost.credits, u.target_credits)
        FROM billing_usagerecord u JOIN billing_modelprice p ON p.id = u.price_id,
        LATERAL (SELECT CEIL(({MILLICREDITS_OF_USAGE}) / 1000) AS credits) cost
        WHERE u.target_credits <> cost.credits
          -- Only what is reported of a whole answer costs more than its hold. A rebuild may have
          -- lowered the hold since.
          AND NOT (u.target_credits BETWEEN u.held_credits AND cost.credits
                   AND (u.source <> 'reported' OR u.outcome <> 'completed'))
        """,  # noqa: S608  # column names of our own table
    ),
    (
        6,
        """
        SELECT 'wallet ' || w.id, format('posted %s, lots %s', w.posted_credits,
               COALESCE(l.remaining, 0))
        FROM billing_wallet w LEFT JOIN (
            SELECT wallet_id, SUM(remaining_credits) AS remaining,
                   BOOL_OR(remaining_credits < 0 OR remaining_credits > granted_credits) AS is_off
            FROM billing_lot GROUP BY wallet_id
        ) l ON l.wallet_id = w.id
        WHERE w.posted_credits <> COALESCE(l.remaining, 0) OR l.is_off
        """,
    ),
    (
        # A lot has what its entry credited and expires as agreed at the sale; a reinstated one
        # expires when it would have, or after fourteen days.
        6,
        f"""
        SELECT 'lot ' || COALESCE(l.id::text, 'of ledger entry ' || e.id),
               format('%s credits until %s, the %s is %s until %s', l.granted_credits, l.expires_at,
                      e.kind, e.amount_credits, until.expires_at)
        FROM billing_ledgerentry e
        LEFT JOIN billing_lot l ON l.entry_id = e.id AND l.wallet_id = e.wallet_id
        LEFT JOIN billing_order p ON e.kind IN ('purchase', 'reinstatement')
             AND p.public_id::text = {first_part_sql("e.reference")}
        LEFT JOIN billing_redeemcode c ON e.kind = 'grant' AND e.reference = {CODE} || c.id
        LEFT JOIN billing_codebatch b ON b.id = c.batch_id
        CROSS JOIN LATERAL (SELECT CASE
            WHEN e.kind IN ('purchase', 'reinstatement')
                THEN p.fulfilled_at + p.validity_days * interval '24 hours'
            WHEN c.id IS NOT NULL THEN c.redeemed_at + b.lot_days * interval '24 hours'
            END AS expires_at) until
        WHERE e.amount_credits > 0 AND (
              l.granted_credits IS DISTINCT FROM e.amount_credits
           OR CASE WHEN p.id IS NULL AND c.id IS NULL THEN
                       e.kind = 'adjustment' AND l.expires_at IS NOT NULL
                   WHEN e.kind = 'reinstatement' AND until.expires_at < l.expires_at THEN
                       l.expires_at NOT BETWEEN e.created_at + interval '14 days 0 hours -1 minute'
                                            AND e.created_at + interval '14 days 1 minute'
                   ELSE l.expires_at IS DISTINCT FROM until.expires_at END)
        """,  # noqa: S608  # constants of the ledger
    ),
    (
        # A gift gave what was promised.
        6,
        f"""
        SELECT 'ledger entry ' || e.id, format('%s gave %s credits of %s', e.reference,
               e.amount_credits, COALESCE(b.credits, w.credits))
        FROM billing_ledgerentry e
        LEFT JOIN (billing_redeemcode c JOIN billing_codebatch b ON b.id = c.batch_id)
             ON e.reference = {CODE} || c.id
        LEFT JOIN billing_welcomecredit w ON e.reference = {WELCOME} || w.user_id
             AND w.refusal = ''
        WHERE e.kind = 'grant' AND e.amount_credits <> COALESCE(b.credits, w.credits)
        """,  # noqa: S608  # constants of the ledger
    ),
    (
        7,
        """
        SELECT 'order ' || COALESCE(p.public_id::text, e.reference),
               format('status %s over %s credits, ledger says %s', p.status, p.credits,
                      e.amount_credits)
        FROM (SELECT * FROM billing_order WHERE status = 'fulfilled') p
        FULL JOIN (SELECT * FROM billing_ledgerentry WHERE kind = 'purchase') e
             ON e.reference = p.public_id::text
        WHERE p.credits IS DISTINCT FROM e.amount_credits
        """,
    ),
    (
        7,
        f"""
        SELECT 'order ' || p.public_id,
               format('%s taken back and %s reinstated, debits say %s and the ledger %s',
                      p.clawed_back_credits, p.reinstated_credits, COALESCE(d.asked, 0),
                      COALESCE(e.given, 0))
        FROM billing_order p
        LEFT JOIN (SELECT order_id, SUM(amount_credits) AS asked FROM billing_debit
                    WHERE kind = 'clawback' GROUP BY order_id) d ON d.order_id = p.id
        LEFT JOIN (SELECT {first_part_sql("reference")} AS order_id, SUM(amount_credits) AS given
                     FROM billing_ledgerentry WHERE kind = 'reinstatement' GROUP BY 1) e
               ON e.order_id = p.public_id::text
        WHERE p.clawed_back_credits <> COALESCE(d.asked, 0)
           OR p.reinstated_credits <> COALESCE(e.given, 0)
        """,  # noqa: S608  # constants of the ledger
    ),
    (
        # The credits taken back are the share of the money that was returned or is about to be.
        7,
        """
        SELECT 'order ' || p.public_id, format('%s of %s credits taken back, %s of %s cents '
               'returned', p.clawed_back_credits - p.reinstated_credits, p.credits, back.cents,
               back.charged)
        FROM billing_order p LEFT JOIN (
            SELECT order_id, SUM(amount_cents) AS cents
              FROM billing_refund WHERE status = 'open' GROUP BY 1
        ) r ON r.order_id = p.id
        CROSS JOIN LATERAL (SELECT
            p.refunded_cents + p.disputed_cents + COALESCE(r.cents, 0)::numeric AS cents,
            COALESCE(p.paid_cents, p.amount_cents) AS charged) back
        WHERE p.clawed_back_credits - p.reinstated_credits <> CASE
            WHEN p.status <> 'fulfilled' OR back.charged = 0 THEN 0
            ELSE LEAST(p.credits, div(p.credits * back.cents, back.charged)) END
        """,
    ),
    (
        # A promotion's percentage stays as it was once an order was given it.
        7,
        """
        SELECT 'order ' || o.public_id, format('%s of %s credits are a bonus, its promotion adds '
               '%s percent', o.bonus_credits, o.credits, p.bonus_percent)
        FROM billing_order o LEFT JOIN billing_promotion p ON p.id = o.promotion_id
        WHERE o.bonus_credits
              <> COALESCE(div((o.credits - o.bonus_credits)::numeric * p.bonus_percent, 100), 0)
        """,
    ),
    (
        # What was paid is the price less the discount, plus the tax unless the price includes it.
        7,
        """
        SELECT 'order ' || public_id, format('%s cents paid for %s, discount %s, tax %s',
               paid_cents, amount_cents, discount_cents, tax_cents)
        FROM billing_order
        WHERE status = 'fulfilled' AND review_reason = ''
          AND paid_cents NOT IN (amount_cents - discount_cents,
                                 amount_cents - discount_cents + tax_cents)
        """,
    ),
    (
        8,
        """
        SELECT 'API key ' || COALESCE(s.api_key_id, u.api_key_id) || ' in '
               || COALESCE(s.month, u.month),
               format('spent %s, receipts say %s', s.charged_credits, u.charged)
        FROM billing_keyspending s FULL JOIN (
            SELECT api_key_id, to_char(started_at AT TIME ZONE 'UTC', 'YYYYMM')::int AS month,
                   SUM(charged_credits) AS charged
            FROM billing_usagerecord GROUP BY 1, 2
        ) u ON u.api_key_id = s.api_key_id AND u.month = s.month
        WHERE COALESCE(s.charged_credits, 0) <> COALESCE(u.charged, 0)
        """,
    ),
    (
        8,
        """
        SELECT 'member ' || COALESCE(s.member_id, u.member_id) || ' of wallet '
               || COALESCE(s.wallet_id, u.wallet_id) || ' in ' || COALESCE(s.month, u.month),
               format('spent %s, receipts say %s', s.charged_credits, u.charged)
        FROM billing_memberspending s FULL JOIN (
            SELECT wallet_id, member_id, to_char(started_at AT TIME ZONE 'UTC', 'YYYYMM')::int
                   AS month, SUM(charged_credits) AS charged
            FROM billing_usagerecord WHERE member_id IS NOT NULL GROUP BY 1, 2, 3
        ) u ON u.wallet_id = s.wallet_id AND u.member_id = s.member_id AND u.month = s.month
        WHERE COALESCE(s.charged_credits, 0) <> COALESCE(u.charged, 0)
        """,
    ),
    *((9, query) for query in checks.QUERIES),
    *((11, query) for query in income.QUERIES),
    (
        # A wallet, its orders, and the keys that spend from it are one team's.
        10,
        """
        SELECT 'order ' || p.public_id, format('is of team %s, its credits went to team %s',
               p.team_id, w.team_id)
        FROM billing_ledgerentry e
        JOIN billing_order p ON p.public_id::text = e.reference
        JOIN billing_wallet w ON w.id = e.wallet_id
        WHERE e.kind = 'purchase' AND p.team_id <> w.team_id
        """,
    ),
    (
        10,
        """
        SELECT 'API key ' || u.api_key_id, format('is of team %s, spent from the wallet of team %s',
               k.team_id, w.team_id)
        FROM (SELECT DISTINCT api_key_id, wallet_id FROM billing_usagerollup) u
        JOIN accounts_apikey k ON k.id = u.api_key_id JOIN billing_wallet w ON w.id = u.wallet_id
        WHERE k.team_id <> w.team_id
        """,
    ),
    (
        10,
        f"""
        SELECT 'code ' || c.id, format('was redeemed for team %s, its credits went to team %s',
               c.team_id, w.team_id)
        FROM billing_redeemcode c
        JOIN billing_ledgerentry e ON e.kind = 'grant' AND e.reference = {CODE} || c.id
        JOIN billing_wallet w ON w.id = e.wallet_id
        WHERE c.team_id <> w.team_id
        """,  # noqa: S608  # constants of the ledger
    ),
    (
        # A team that is open has an owner, and somebody's own team is theirs.
        10,
        """
        SELECT 'team ' || t.id, format('is open, with %s members and %s owners', COUNT(m.id),
               COUNT(m.id) FILTER (WHERE m.role = 'owner'))
        FROM accounts_team t LEFT JOIN accounts_membership m ON m.team_id = t.id
        WHERE t.closed_at IS NULL
        GROUP BY t.id, t.person_id
        HAVING COUNT(m.id) FILTER (WHERE m.role = 'owner') = 0
            OR t.person_id IS NOT NULL AND NOT BOOL_OR(m.user_id = t.person_id)
        """,
    ),
]
