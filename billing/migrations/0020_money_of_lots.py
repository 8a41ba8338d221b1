"""Lots know what was paid for them, receipts what their credits were sold for, sales their day.

Lots and sales of before are filled in from their orders. What their credits brought in until now
is not known: the receipts of before stay without an income, and roll-ups count them.
"""

from decimal import Decimal

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models
from django.db.models import Q

from common.currencies import decimal_places

PROTECT = django.db.models.deletion.PROTECT

# What of an order's payment is ours, and what went back, in millionths.
NET = "(GREATEST(0, COALESCE(o.paid_cents, o.amount_cents)::bigint - o.tax_cents) * %(scale)s)"
PAID = "COALESCE(o.paid_cents, o.amount_cents)::bigint"
BACK = (
    f"CASE WHEN {PAID} = 0 THEN 0 ELSE div({NET}::numeric * LEAST({PAID},"
    f" o.refunded_cents::bigint + o.disputed_cents), {PAID}) END"
)
# A sale that was paid in another currency than ordered has a finding of a person's.
IS_KNOWN = (
    "o.status = 'fulfilled' AND o.currency = %(currency)s AND NOT EXISTS (SELECT FROM"
    " billing_inboxitem f WHERE f.kind = 'order_mismatch' AND f.reference = o.public_id::text"
    " AND f.detail ->> 'paid_currency' IS DISTINCT FROM o.currency)"
)
SOLD_LOTS = f"""
UPDATE billing_lot l SET currency = o.currency, paid_micros = {NET}
  FROM billing_order o, billing_ledgerentry e
 WHERE e.kind = 'purchase' AND e.reference = o.public_id::text AND l.entry_id = e.id
   AND {IS_KNOWN}
"""  # noqa: S608  # constants of this module
# A reinstatement's reference ends with the credits that were given back with it.
REINSTATED_LOTS = f"""
UPDATE billing_lot l SET currency = o.currency,
       paid_micros = div({NET}::numeric * s.total, o.credits)
                   - div({NET}::numeric * (s.total - l.granted_credits), o.credits)
  FROM billing_order o, billing_ledgerentry e,
       LATERAL (SELECT split_part(e.reference, ':', 2)::bigint AS total) s
 WHERE e.kind = 'reinstatement' AND split_part(e.reference, ':', 1) = o.public_id::text
   AND l.entry_id = e.id AND {IS_KNOWN}
"""  # noqa: S608  # constants of this module
GIFTS = """
UPDATE billing_lot l SET paid_micros = 0 FROM billing_ledgerentry e
 WHERE e.kind IN ('grant', 'adjustment') AND l.entry_id = e.id
"""
SALES = f"""
INSERT INTO billing_revenue (order_id, kind, currency, micros, created_at)
SELECT o.id, 'sale', o.currency, {NET}, o.fulfilled_at FROM billing_order o
 WHERE {IS_KNOWN} AND {NET} > 0
"""  # noqa: S608
# In one entry, at the time of the last step that took credits back.
RETURNS = f"""
INSERT INTO billing_revenue (order_id, kind, currency, micros, created_at)
SELECT o.id, 'return', o.currency, -({BACK}), COALESCE(
           (SELECT MAX(d.created_at) FROM billing_debit d WHERE d.order_id = o.id), o.fulfilled_at)
  FROM billing_order o WHERE {IS_KNOWN} AND {BACK} > 0
"""  # noqa: S608
ROLL_UPS = """
UPDATE billing_usagerollup SET unknown_income_requests = requests;
UPDATE billing_siterollup SET unknown_income_requests = requests;
"""
IMMUTABLE = """
CREATE TRIGGER revenue_is_immutable BEFORE UPDATE OR DELETE ON billing_revenue
    FOR EACH ROW EXECUTE FUNCTION billing_forbid_change();
"""


def fill(apps, schema_editor):
    orders = apps.get_model("billing", "Order").objects.order_by()
    with schema_editor.connection.cursor() as cursor:
        for currency in orders.values_list("currency", flat=True).distinct():
            values = {"currency": currency, "scale": 10 ** (6 - decimal_places(currency))}
            for statement in (SOLD_LOTS, REINSTATED_LOTS, SALES, RETURNS):
                cursor.execute(statement, values)
        cursor.execute(GIFTS)
        cursor.execute(ROLL_UPS)


ROLL_UP_KEYS = {
    "usagerollup": (
        "usage_roll_up_is",
        ["wallet", "starts_at", "api_key", "model_name", "provider_name", "outcome"],
    ),
    "siterollup": (
        "site_roll_up_is",
        ["starts_at", "model_name", "provider_name", "outcome"],
    ),
}
NOT_NEGATIVE = (
    "requests",
    "charged_credits",
    "write_off_credits",
    "prompt_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "prompt_audio_tokens",
    "prompt_image_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "completion_audio_tokens",
    "cost_nanos",
    "unpriced_requests",
    "income_micros",
    "unknown_income_requests",
    "duration_ms",
)


def roll_up_operations(model, name, keys):
    is_not_negative = models.CheckConstraint(
        condition=Q(**{f"{column}__gte": 0 for column in NOT_NEGATIVE}),
        name=f"{name}_not_negative",
    )
    return [
        migrations.AddField(
            model, "currency", models.CharField(blank=True, db_default="", max_length=3)
        ),
        migrations.AddField(
            model,
            "income_micros",
            models.BigIntegerField(
                db_default=0,
                help_text="What their credits were sold for, in millionths of the currency.",
            ),
        ),
        migrations.AddField(
            model, "unknown_income_requests", models.BigIntegerField(db_default=0)
        ),
        migrations.RemoveConstraint(model, f"{name}_one_row"),
        migrations.AddConstraint(
            model, models.UniqueConstraint(fields=[*keys, "currency"], name=f"{name}_one_row")
        ),
        migrations.RemoveConstraint(model, f"{name}_not_negative"),
        AddConstraintNotValid(model, is_not_negative),
        ValidateConstraint(model, f"{name}_not_negative"),
    ]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("billing", "0019_notices_of_leaps"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AddField(
            "lot",
            "currency",
            models.CharField(
                blank=True,
                db_default="",
                help_text="Of what was paid; empty: a gift.",
                max_length=3,
            ),
        ),
        migrations.AddField(
            "lot",
            "paid_micros",
            models.BigIntegerField(
                help_text="What was paid for all of it, without tax and discount, in millionths of"
                " the currency.",
                null=True,
            ),
        ),
        migrations.AddField(
            "ledgerentry",
            "sold_for",
            models.JSONField(
                editable=False,
                help_text="What the credits that it took were sold for, in millionths by currency.",
                null=True,
            ),
        ),
        migrations.AddField(
            "usagerecord",
            "income_micros",
            models.JSONField(
                editable=False, help_text="In millionths, by currency.", null=True
            ),
        ),
        *(
            operation
            for model, (name, keys) in ROLL_UP_KEYS.items()
            for operation in roll_up_operations(model, name, keys)
        ),
        migrations.CreateModel(
            name="Revenue",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("sale", "Sale"),
                            ("return", "given back"),
                            ("reversal", "stands again"),
                        ],
                        max_length=8,
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                ("micros", models.BigIntegerField(help_text="In millionths of the currency.")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=PROTECT, related_name="revenue", to="billing.order"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "revenue",
                "ordering": ["-pk"],
                "indexes": [models.Index(fields=["created_at"], name="revenue_by_time")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=Q(("kind", "sale")), fields=("order",), name="order_is_one_sale"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind__in", ["sale", "reversal"]), ("micros__gt", 0)),
                            models.Q(("kind", "return"), ("micros__lt", 0)),
                            _connector="OR",
                        ),
                        name="revenue_has_the_sign_of_its_kind",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ExchangeRate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "currency",
                    models.CharField(
                        help_text="Such as eur.",
                        max_length=3,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z]{3}$", "A code of three small letters, such as eur."
                            )
                        ],
                    ),
                ),
                ("day", models.DateField(help_text="It holds from this day (UTC) on.")),
                (
                    "rate",
                    models.DecimalField(
                        decimal_places=10,
                        help_text="What one unit is in the currency of our costs, such as 1.08.",
                        max_digits=20,
                        validators=[
                            django.core.validators.MinValueValidator(Decimal("0.0000000001"))
                        ],
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                (
                    "set_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["currency", "-day"],
                "constraints": [
                    models.UniqueConstraint(fields=("currency", "day"), name="one_rate_a_day"),
                    models.CheckConstraint(condition=Q(("rate__gt", 0)), name="rate_is_above_0"),
                ],
            },
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        AddConstraintNotValid(
            "lot",
            models.CheckConstraint(
                condition=Q(paid_micros=None)
                | Q(paid_micros=0)
                | Q(paid_micros__gt=0) & ~Q(currency=""),
                name="lot_is_paid_in_a_currency",
            ),
        ),
        ValidateConstraint("lot", "lot_is_paid_in_a_currency"),
        migrations.RunSQL(IMMUTABLE, "DROP TRIGGER revenue_is_immutable ON billing_revenue"),
    ]
