"""What sales brought in, by day, and at which rates staff compare currencies."""

from decimal import Decimal

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.order import Order


class Revenue(models.Model):
    """What an order brought in or gave back, without tax and discount: an entry of its own day.

    The entries of an order add up to what of its payment is ours now. A trigger refuses UPDATE and
    DELETE.
    """

    class Kind(models.TextChoices):
        SALE = "sale"
        # By a refund or a dispute.
        RETURN = "return", "given back"
        # A refund failed, or a dispute was won.
        REVERSAL = "reversal", "stands again"

    order = models.ForeignKey(Order, models.PROTECT, related_name="revenue")
    kind = models.CharField(max_length=8, choices=Kind)
    currency = models.CharField(max_length=3)
    micros = models.BigIntegerField(help_text="In millionths of the currency.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "revenue"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["order"], condition=Q(kind="sale"), name="order_is_one_sale"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["sale", "reversal"], micros__gt=0)
                | Q(kind="return", micros__lt=0),
                name="revenue_has_the_sign_of_its_kind",
            ),
        ]
        indexes = [
            # The desk adds up a time.
            models.Index(fields=["created_at"], name="revenue_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.order_id}"


class ExchangeRate(models.Model):
    """What one unit of a currency is in the currency of our costs, from a day on.

    Until the next one. Staff set it: nothing is converted without one.
    """

    currency = models.CharField(
        max_length=3,
        validators=[RegexValidator(r"^[a-z]{3}$", "A code of three small letters, such as eur.")],
        help_text="Such as eur.",
    )
    day = models.DateField(help_text="It holds from this day (UTC) on.")
    rate = models.DecimalField(
        max_digits=20,
        decimal_places=10,
        validators=[MinValueValidator(Decimal("0.0000000001"))],
        help_text="What one unit is in the currency of our costs, such as 1.08.",
    )
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["currency", "-day"]
        constraints = [
            models.UniqueConstraint(fields=["currency", "day"], name="one_rate_a_day"),
            models.CheckConstraint(condition=Q(rate__gt=0), name="rate_is_above_0"),
        ]

    def __str__(self) -> str:
        return f"{self.currency} from {self.day}"
