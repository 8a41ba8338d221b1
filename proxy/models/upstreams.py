"""Who serves a public model: providers, their keys, and routes."""

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models import PublicModel
from billing.models.catalogue import MOST_TOKENS
from proxy.errors import InvalidRule
from proxy.parsing.adapting import Adaptation
from proxy.parsing.endpoints import ENDPOINTS
from proxy.parsing.extras import DEFAULT_EXTRAS, check_extras
from proxy.parsing.intake import CUSTOMER_MARKS
from proxy.parsing.origins import origin_of
from proxy.parsing.telling import may_be_extra

PROVIDER_NAME = RegexValidator(
    r"^[a-z0-9][a-z0-9-]*$", "A provider's name has small letters, digits and hyphens."
)

MAX_ANSWER_FIELDS = 50
MOST_PROBES = 12
ANSWER_FIELD = re.compile(r"[A-Za-z0-9_.-]{1,60}")

RULES_HELP = 'Such as [{"drop": "stop"}, {"rename": "max_tokens", "to": "max_completion_tokens"}].'


def check_rules(rules: object) -> None:
    """Refuse rules that can't be followed. Raises ValidationError."""
    try:
        Adaptation.parse(rules)
    except InvalidRule as error:
        raise ValidationError(str(error)) from error


def check_request_extras(names: object) -> None:
    """Refuse names that no provider may be sent. Raises ValidationError."""
    try:
        check_extras(names)
    except InvalidRule as error:
        raise ValidationError(str(error)) from error


def default_extras() -> list[str]:
    """Return the fields beyond OpenAI's that a new provider is sent."""
    return list(DEFAULT_EXTRAS)


def check_endpoints(endpoints: object) -> None:
    """Refuse unknown endpoints. Raises ValidationError."""
    if not isinstance(endpoints, list) or not all(name in ENDPOINTS for name in endpoints):
        raise ValidationError(f"Choose among {', '.join(ENDPOINTS)}.")


def check_answer_fields(names: object) -> None:
    """Refuse fields that are ours to write, or that tell who served. Raises ValidationError."""
    if not isinstance(names, list) or len(names) > MAX_ANSWER_FIELDS:
        raise ValidationError(f"Write a JSON list of at most {MAX_ANSWER_FIELDS} names.")
    for name in names:
        if not isinstance(name, str) or not ANSWER_FIELD.fullmatch(name):
            raise ValidationError("A field's name has letters, digits, hyphens, dots and _.")
        if not may_be_extra(name):
            raise ValidationError(f"“{name}” can't pass: we write it, or it may tell who served.")


class Provider(models.Model):
    """An upstream company or server that sells completions."""

    name = models.CharField(max_length=60, unique=True, validators=[PROVIDER_NAME])
    base_url = models.URLField(
        max_length=300, help_text="With its path, such as https://api.openai.com/v1"
    )
    is_active = models.BooleanField(default=True)
    is_named = models.BooleanField(
        "customers see its name",
        default=False,
        db_default=False,
        help_text="On the pages of the models that it serves, and as a filter of their list.",
    )
    paused_at = models.DateTimeField(null=True, editable=False)
    pause_reason = models.CharField(max_length=200, blank=True, db_default="", editable=False)
    bills_after_cancel = models.BooleanField(
        default=False, help_text="Bills the whole answer even if we hang up: drain it instead."
    )
    reports_usage = models.BooleanField(
        default=True, help_text="Knows stream_options. Otherwise usage is counted by us."
    )
    parameter_rules = models.JSONField(
        default=list, blank=True, validators=[check_rules], help_text=RULES_HELP
    )
    request_extras = models.JSONField(
        default=default_extras,
        blank=True,
        validators=[check_request_extras],
        help_text="Fields beyond OpenAI's that it is sent. Any other is left out.",
    )
    customer_mark = models.CharField(
        max_length=20,
        blank=True,
        choices=[(name, name) for name in CUSTOMER_MARKS],
        help_text="The field that tells it one customer from another, where the client sends none.",
    )
    salts_caches = models.BooleanField(
        default=False, help_text="vLLM: keep customers' prompt caches apart, by cache_salt."
    )
    takes_data_urls_only = models.BooleanField(
        default=False, help_text="Fetches no images: only requests with images as data go here."
    )
    answer_fields = models.JSONField(
        default=list,
        blank=True,
        validators=[check_answer_fields],
        help_text='Fields of its answers that clients get as well, such as ["search_results"].',
    )
    probes_per_hour = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        validators=[MaxValueValidator(MOST_PROBES)],
        help_text=f"How often each of its models is asked for a few tokens, at our cost, while no"
        f" customer asks for it: 0 (never) to {MOST_PROBES}.",
    )
    connect_timeout_s = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(1)],
        help_text="How long a connection may take to open, in seconds; then the next is tried.",
    )
    first_byte_timeout_s = models.PositiveSmallIntegerField(
        default=60,
        validators=[MinValueValidator(1)],
        help_text="Streams only: how long the first event may take, headers included.",
    )
    idle_timeout_s = models.PositiveSmallIntegerField(
        default=60,
        validators=[MinValueValidator(1)],
        help_text="Streams only: the longest silence between two events.",
    )
    total_timeout_s = models.PositiveSmallIntegerField(
        default=600,
        validators=[MinValueValidator(1)],
        help_text="How long a whole answer may take. The only limit of one that is no stream.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(paused_at=None, pause_reason="")
                | Q(paused_at__isnull=False) & ~Q(pause_reason=""),
                name="provider_is_paused_with_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SentToOneHost:
    """A key that must not follow a changed base URL to somebody else's server."""

    provider: Any
    origin: Any

    def is_for(self, base_url: str) -> bool:
        """Tell whether the key was entered for the host of this base URL."""
        return bool(self.origin == origin_of(base_url))

    @property
    def is_for_another_host(self) -> bool:
        """Tell whether its provider has moved since the key was entered."""
        return not self.is_for(self.provider.base_url)


class ProviderKey(SentToOneHost, models.Model):
    """One of our keys at a provider, encrypted with PROVIDER_KEYS_SECRET.

    Staff switch it on and off. A key that its provider refuses is ejected until staff take it
    back. A key is sent only to the host that it was entered for.
    """

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="keys")
    encrypted_secret = models.BinaryField(editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="The last four characters.")
    origin = models.CharField(
        max_length=320,
        editable=False,
        help_text="The scheme, host and port that the key was entered for.",
    )
    priority = models.PositiveSmallIntegerField(default=0, help_text="Lower is used first.")
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text="Share of the traffic among keys of one priority.",
    )
    is_active = models.BooleanField(default=True)
    ejected_at = models.DateTimeField(null=True, editable=False)
    ejection_reason = models.CharField(max_length=200, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["priority", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(weight__gt=0), name="provider_key_has_weight"),
            models.CheckConstraint(
                condition=Q(ejected_at=None, ejection_reason="")
                | Q(ejected_at__isnull=False) & ~Q(ejection_reason=""),
                name="provider_key_is_ejected_with_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} …{self.hint}"


class Route(models.Model):
    """How a public model maps to a provider's model, and in which order routes are tried."""

    model = models.ForeignKey(PublicModel, models.CASCADE, related_name="routes")
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="routes")
    upstream_model = models.CharField(max_length=120, help_text="The provider's name for it.")
    priority = models.PositiveSmallIntegerField(default=0, help_text="Lower is tried first.")
    weight = models.PositiveSmallIntegerField(
        default=1, help_text="Share of the traffic among routes of one priority."
    )
    endpoints = models.JSONField(
        default=list,
        blank=True,
        validators=[check_endpoints],
        help_text="What it serves; nothing chosen means everything.",
    )
    parameter_rules = models.JSONField(
        default=list,
        blank=True,
        validators=[check_rules],
        help_text=f"After the provider's own. {RULES_HELP}",
    )
    # What we pay, in millionths of the currency per million tokens: 0.15 per million is 150,000.
    prompt_cost_micros = models.BigIntegerField(
        "prompt cost", null=True, blank=True, validators=[MinValueValidator(0)]
    )
    cached_prompt_cost_micros = models.BigIntegerField(
        "cached prompt cost", null=True, blank=True, validators=[MinValueValidator(0)]
    )
    completion_cost_micros = models.BigIntegerField(
        "completion cost", null=True, blank=True, validators=[MinValueValidator(0)]
    )
    reasoning_beyond_maximum = models.PositiveIntegerField(
        default=0,
        db_default=0,
        validators=[MaxValueValidator(MOST_TOKENS)],
        help_text="The most reasoning tokens that the provider may count beside max_tokens, for"
        " each answer. A hold contains them; 0 where reasoning is within the maximum.",
    )
    is_active = models.BooleanField(default=True)
    vanished_at = models.DateTimeField(
        null=True, editable=False, help_text="Since when the provider no longer lists the model."
    )

    class Meta:
        ordering = ["model", "priority", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["model", "provider", "upstream_model"], name="route_exists_once"
            ),
            models.CheckConstraint(condition=Q(weight__gt=0), name="route_has_weight"),
            models.CheckConstraint(
                condition=(Q(prompt_cost_micros=None) | Q(prompt_cost_micros__gte=0))
                & (Q(cached_prompt_cost_micros=None) | Q(cached_prompt_cost_micros__gte=0))
                & (Q(completion_cost_micros=None) | Q(completion_cost_micros__gte=0)),
                name="route_cost_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} → {self.provider}: {self.upstream_model}"
