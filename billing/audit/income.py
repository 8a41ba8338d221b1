"""The audit's queries: what lots were sold for is what receipts and entries say, per currency.

Wallets are left out of which something is not known, such as receipts of before. Each query returns
rows of (what it concerns, what is wrong).
"""

QUERIES = (
    """
    SELECT 'wallet ' || wallet_id, format('%s: %s millionths of what its used credits were sold '
           'for are on no receipt or entry', currency, SUM(micros))
    FROM (
        SELECT wallet_id, currency, div(paid_micros::numeric * (granted_credits
               - remaining_credits), granted_credits) AS micros
        FROM billing_lot WHERE paid_micros > 0
        UNION ALL
        SELECT wallet_id, key, -value::bigint
        FROM billing_usagerecord, jsonb_each(income_micros)
        UNION ALL
        SELECT wallet_id, key, -value::bigint FROM billing_ledgerentry, jsonb_each(sold_for)
    ) sold
    WHERE NOT EXISTS (SELECT FROM billing_lot l
                      WHERE l.wallet_id = sold.wallet_id AND l.paid_micros IS NULL)
      AND NOT EXISTS (SELECT FROM billing_usagerecord u
                      WHERE u.wallet_id = sold.wallet_id AND u.income_micros IS NULL)
      AND NOT EXISTS (SELECT FROM billing_ledgerentry e
                      WHERE e.wallet_id = sold.wallet_id AND e.kind <> 'usage'
                        AND e.amount_credits < 0 AND e.sold_for IS NULL)
    GROUP BY wallet_id, currency HAVING SUM(micros) <> 0
    """,
    # A step of a reinstatement is a share of its sale.
    """
    SELECT 'lot ' || l.id, format('%s millionths of %s were paid for it; its order or gift says %s',
           l.paid_micros, l.currency, s.micros)
    FROM billing_lot l JOIN billing_ledgerentry e ON e.id = l.entry_id
    LEFT JOIN billing_order o ON e.kind IN ('purchase', 'reinstatement')
              AND o.public_id::text = split_part(e.reference, ':', 1)
    LEFT JOIN billing_revenue r ON r.order_id = o.id AND r.kind = 'sale'
    CROSS JOIN LATERAL (
        SELECT COALESCE(CASE e.kind
            WHEN 'purchase' THEN r.micros
            WHEN 'reinstatement' THEN
                div(r.micros::numeric * t.total, o.credits)
                - div(r.micros::numeric * (t.total - e.amount_credits), o.credits)
            END, 0) AS micros
        FROM (SELECT NULLIF(split_part(e.reference, ':', 2), '')::bigint AS total
              WHERE e.kind = 'reinstatement' UNION ALL SELECT 0 WHERE e.kind <> 'reinstatement') t
    ) s
    WHERE l.paid_micros <> s.micros
    """,
    """
    SELECT 'order ' || o.public_id, format('its revenue is %s millionths, its payment left %s',
           r.micros, o.net - o.back)
    FROM (
        SELECT *, CASE WHEN paid = 0 THEN 0 ELSE div(net * LEAST(paid, returned), paid) END AS back
        FROM (
            SELECT p.*, greatest(0, p.paid - p.tax_cents)::numeric * s.scale AS net
            FROM (SELECT *, COALESCE(paid_cents, amount_cents)::bigint AS paid,
                         refunded_cents::bigint + disputed_cents AS returned
                  FROM billing_order WHERE status = 'fulfilled') p
            JOIN (SELECT order_id, MAX(micros) FILTER (WHERE kind = 'sale') AS sale
                  FROM billing_revenue GROUP BY 1) f ON f.order_id = p.id
            CROSS JOIN LATERAL (
                SELECT div(f.sale, greatest(1, p.paid - p.tax_cents)) AS scale
            ) s
        ) sold
    ) o JOIN (SELECT order_id, SUM(micros) AS micros FROM billing_revenue GROUP BY 1) r
             ON r.order_id = o.id
    WHERE r.micros <> o.net - o.back
    """,
)
