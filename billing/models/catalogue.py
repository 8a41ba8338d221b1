"""What is sold: packs of credits, and the models that credits are spent on."""

from functools import reduce
from operator import and_

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.token_classes import CLASSES
from common.credits import MAX_CREDITS
from common.currencies import UNPROVEN, UNPROVEN_REASON, least_charge, smallest_step
from common.staff_texts import GERMAN

CURRENCY = RegexValidator(r"^[a-z]{3}$", "A currency is three lower-case letters, such as usd.")
# What the API's documentation promises where a request names no maximum.
DEFAULT_MAX_TOKENS = 4_096
# Ten times what any model reads; keeps every product within what Redis counts exactly.
MOST_TOKENS = 20_000_000
MODEL_NAME = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
    "A model's name has letters, digits and . _ : / - and starts with a letter or digit.",
)


# What customers look for in a model, and staff enter of one.
ABILITIES = {
    "tools": _("Calls tools"),
    "images": _("Reads images"),
    "files": _("Reads documents"),
    "audio": _("Accepts audio"),
    "json": _("Structured JSON"),
}


def check_abilities(names: object) -> None:
    """Refuse what is no ability. Raises ValidationError."""
    if not isinstance(names, list) or not all(name in ABILITIES for name in names):
        raise ValidationError(f"Choose among {', '.join(ABILITIES)}.")


def demand_chargeable(price_cents: int | None, currency: str) -> None:
    """Raise ValidationError for a price that is no multiple of its currency's smallest step, or
    less than Stripe charges.
    """
    if price_cents is None:
        return
    step, least = smallest_step(currency), least_charge(currency)
    if price_cents % step:
        message = f"Amounts of this currency are divisible by {step}."
        raise ValidationError({"price_cents": message})
    if least is not None and price_cents < least:
        message = f"Stripe charges at least {least} in this currency."
        raise ValidationError({"price_cents": message})


class Pack(models.Model):
    """A catalogue item: a number of credits for a price."""

    name = models.CharField(max_length=60)
    slug = models.SlugField(unique=True)
    description = models.CharField(max_length=160, blank=True)
    description_de = models.CharField(
        "Description in German", max_length=200, blank=True, db_default="", help_text=GERMAN
    )
    # With the largest bonus, a wallet still holds them.
    credits = models.BigIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(MAX_CREDITS // 2)]
    )
    price_cents = models.PositiveIntegerField(
        validators=[MinValueValidator(1)], help_text="In the currency's smallest unit."
    )
    currency = models.CharField(max_length=3, default="usd", validators=[CURRENCY])
    validity_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days until the credits expire. Empty: never."
    )
    is_active = models.BooleanField(default=True)
    is_highlighted = models.BooleanField(default=False)
    # Written by `sync_packs`. Without them an order gives Stripe its amount instead of a Price.
    stripe_product_id = models.CharField(max_length=120, blank=True, editable=False)
    stripe_price_id = models.CharField(max_length=120, blank=True, editable=False)
    # The terms of that Price. If the pack was edited since, its orders give the amount instead,
    # until the next sync.
    stripe_price_terms = models.CharField(max_length=40, blank=True, editable=False)
    order = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["order", "price_cents", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(credits__gt=0), name="pack_has_credits"),
            models.CheckConstraint(condition=Q(price_cents__gt=0), name="pack_costs_something"),
            models.CheckConstraint(
                condition=Q(currency__regex="^[a-z]{3}$"), name="pack_has_a_currency"
            ),
            models.CheckConstraint(
                condition=Q(validity_days=None) | Q(validity_days__gt=0), name="pack_is_valid_a_day"
            ),
            models.CheckConstraint(
                condition=~Q(currency__in=sorted(UNPROVEN)) | Q(is_active=False),
                name="pack_on_sale_has_a_proven_currency",
                violation_error_message=UNPROVEN_REASON,
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raise ValidationError for a price that Stripe would refuse."""
        demand_chargeable(self.price_cents, self.currency)


class PackPrice(models.Model):
    """What a pack costs in another currency than its own."""

    pack = models.ForeignKey(Pack, models.CASCADE, related_name="other_prices")
    currency = models.CharField(max_length=3, validators=[CURRENCY])
    price_cents = models.PositiveIntegerField(
        validators=[MinValueValidator(1)], help_text="In the currency's smallest unit."
    )
    stripe_price_id = models.CharField(max_length=120, blank=True, editable=False)
    stripe_price_terms = models.CharField(max_length=40, blank=True, editable=False)

    class Meta:
        verbose_name = "price in another currency"
        verbose_name_plural = "prices in other currencies"
        ordering = ["currency"]
        constraints = [
            models.UniqueConstraint(fields=["pack", "currency"], name="pack_price_is_unique"),
            models.CheckConstraint(
                condition=Q(price_cents__gt=0), name="pack_price_costs_something"
            ),
            models.CheckConstraint(
                condition=Q(currency__regex="^[a-z]{3}$"), name="pack_price_has_a_currency"
            ),
            models.CheckConstraint(
                condition=~Q(currency__in=sorted(UNPROVEN)),
                name="pack_price_has_a_proven_currency",
                violation_error_message=UNPROVEN_REASON,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pack} in {self.currency}"

    def clean(self) -> None:
        """Raise ValidationError for a price that Stripe would refuse."""
        demand_chargeable(self.price_cents, self.currency)


class PublicModel(models.Model):
    """A model under the name that customers use. Routes say which upstreams serve it."""

    name = models.CharField(max_length=120, unique=True, validators=[MODEL_NAME])
    display_name = models.CharField(max_length=80, blank=True)
    description = models.CharField(max_length=200, blank=True)
    description_de = models.CharField(
        "Description in German", max_length=250, blank=True, db_default="", help_text=GERMAN
    )
    owned_by = models.CharField(max_length=60, default="tokenproxy")
    default_max_tokens = models.PositiveIntegerField(
        default=DEFAULT_MAX_TOKENS,
        validators=[MinValueValidator(1)],
        help_text="Completion tokens where the client names no maximum.",
    )
    has_default_temperature = models.BooleanField(
        default=True, help_text="Send temperature 0.7 where the client names none."
    )
    context_tokens = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_TOKENS)],
        help_text="The most that it reads, its answer included, in tokens: the largest of its"
        " routes'. No prompt is held at more. Documents, sound, and images of a model whose rules"
        " we don't know are held at it. Empty: as its providers' names tell, for the models of"
        " OpenAI; any other refuses such files then.",
    )
    tokens_per_100_bytes = models.PositiveSmallIntegerField(
        "tokens held per 100 bytes",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Only where we lack its tokenizer. Empty: each byte of a text is held as a token,"
        " which is never too little. With 40, a prompt of 10,000 bytes holds 4,000 tokens. This"
        " is a risk: what a prompt uses beyond its hold is charged as far as the balance goes,"
        " and you lose the rest. It is written off on the receipt; a key that causes much of it is"
        " reported in the inbox.",
    )
    is_reasoning = models.BooleanField(
        "thinks first",
        default=False,
        db_default=False,
        help_text="Thinks, which its provider bills, before anything of its answer is seen. If a"
        " client leaves before that, the answer is read on for a while, so that it is charged.",
    )
    abilities = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        validators=[check_abilities],
        help_text="By which customers find it. Nothing: as its providers' names tell, for the"
        " models of OpenAI.",
    )
    is_active = models.BooleanField(default=True)
    order = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "model"
        ordering = ["order", "name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(context_tokens=None)
                | Q(context_tokens__gt=0, context_tokens__lte=MOST_TOKENS),
                name="model_context_is_possible",
            ),
            models.CheckConstraint(
                condition=Q(tokens_per_100_bytes=None)
                | Q(tokens_per_100_bytes__gt=0, tokens_per_100_bytes__lte=100),
                name="model_tokens_are_at_most_bytes",
            ),
        ]

    def __str__(self) -> str:
        return self.name


def _empty_or_not_negative(*names: str) -> Q:
    return reduce(and_, (Q(**{name: None}) | Q(**{f"{name}__gte": 0}) for name in names))


class ModelPrice(models.Model):
    """One version of a model's price, in millicredits per token. Never edited: add a version.

    Of the versions that have started, the one that started last is in force.
    """

    model = models.ForeignKey(PublicModel, models.PROTECT, related_name="prices")
    version = models.PositiveIntegerField(editable=False)
    prompt_rate_millicredits = models.BigIntegerField("prompt rate")
    cached_prompt_rate_millicredits = models.BigIntegerField("cached prompt rate")
    completion_rate_millicredits = models.BigIntegerField("completion rate")
    # Empty for a class that costs as much as the prompt or completion it is part of.
    cache_write_rate_millicredits = models.BigIntegerField("cache write rate", null=True)
    prompt_audio_rate_millicredits = models.BigIntegerField("prompt audio rate", null=True)
    prompt_image_rate_millicredits = models.BigIntegerField("prompt image rate", null=True)
    reasoning_rate_millicredits = models.BigIntegerField("reasoning rate", null=True)
    completion_audio_rate_millicredits = models.BigIntegerField("completion audio rate", null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    starts_at = models.DateTimeField(
        default=timezone.now,
        db_default=Now(),
        editable=False,
        help_text="Requests that are admitted from then on have this price.",
    )

    class Meta:
        verbose_name = "model price"
        ordering = ["model", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["model", "version"], name="price_version_is_unique"),
            models.CheckConstraint(
                condition=Q(
                    **{f"{each.price_rate}__gte": 0 for each in CLASSES if each.has_own_rate}
                ),
                name="price_is_not_negative",
            ),
            models.CheckConstraint(
                condition=_empty_or_not_negative(
                    *(each.price_rate for each in CLASSES if not each.has_own_rate)
                ),
                name="price_of_a_class_is_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(cached_prompt_rate_millicredits__lte=F("prompt_rate_millicredits")),
                name="price_of_cached_is_not_above_prompt",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} v{self.version}"


class PriceCancellation(models.Model):
    """A planned version of a price that will not start. A trigger refuses it once it has."""

    price = models.OneToOneField(
        ModelPrice, models.PROTECT, primary_key=True, related_name="cancellation"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.price}, cancelled"
