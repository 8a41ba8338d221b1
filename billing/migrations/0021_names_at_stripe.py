"""Staff look orders and refunds up by Stripe's ids. Built while payments are booked."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0020_money_of_lots")]
    operations = [
        AddIndexConcurrently(
            "order",
            models.Index(
                fields=["stripe_payment_intent_id"],
                condition=models.Q(("stripe_payment_intent_id", ""), _negated=True),
                name="orders_by_payment",
            ),
        ),
        AddIndexConcurrently(
            "refund",
            models.Index(
                fields=["stripe_refund_id"],
                condition=models.Q(("stripe_refund_id", ""), _negated=True),
                name="refunds_at_stripe",
            ),
        ),
    ]
