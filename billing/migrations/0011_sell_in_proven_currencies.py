from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

REASON = (
    "Nothing can be sold in UGX yet: Stripe's documentation names it both as a currency without "
    "decimal places and as one with two, so a customer might be charged a hundredth of the price. "
    "See docs/payments.md."
)


class Migration(migrations.Migration):
    """Prices that stand already stay, are not sold, and are shown to staff; new ones are refused."""

    dependencies = [("billing", "0010_uncredited_top_ups")]

    operations = [
        AddConstraintNotValid(
            model_name="pack",
            constraint=models.CheckConstraint(
                condition=~models.Q(currency__in=["ugx"]) | models.Q(is_active=False),
                name="pack_on_sale_has_a_proven_currency",
                violation_error_message=REASON,
            ),
        ),
        AddConstraintNotValid(
            model_name="packprice",
            constraint=models.CheckConstraint(
                condition=~models.Q(currency__in=["ugx"]),
                name="pack_price_has_a_proven_currency",
                violation_error_message=REASON,
            ),
        ),
    ]
