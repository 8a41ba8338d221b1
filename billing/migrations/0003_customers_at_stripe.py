"""Each wallet's Customer at Stripe has a row of its own; those of top-ups are its first."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

MOVE = """
INSERT INTO billing_stripecustomer
    (wallet_id, public_id, stripe_customer_id, generation, email, created_at)
SELECT wallet_id, public_id, stripe_customer_id, 0, '', created_at
FROM billing_autotopup WHERE stripe_customer_id <> ''
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_append_only_ledger")]
    operations = [
        migrations.CreateModel(
            name="StripeCustomer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("stripe_customer_id", models.CharField(blank=True, max_length=120)),
                ("generation", models.PositiveIntegerField(default=0)),
                ("email", models.EmailField(blank=True, max_length=254)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "wallet",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="stripe_customer",
                        to="billing.wallet",
                    ),
                ),
            ],
            options={
                "verbose_name": "Stripe customer",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("stripe_customer_id", ""), _negated=True),
                        fields=("stripe_customer_id",),
                        name="stripe_customer_has_one_wallet",
                    )
                ],
            },
        ),
        migrations.AlterField(
            model_name="autotopup",
            name="off_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("customer", "switched off by the customer"),
                    ("declined", "the card was declined"),
                    ("authentication", "the bank asks for a confirmation"),
                    ("terms", "the pack changed or is no longer sold"),
                    ("staff", "switched off by staff"),
                    ("returned", "a payment was refunded or disputed"),
                    ("uncredited", "a payment could not be credited"),
                    ("fault", "a charge met an error that nobody expected"),
                ],
                max_length=16,
            ),
        ),
        migrations.RunSQL(MOVE, migrations.RunSQL.noop),
    ]
