"""What each provider is asked of our account, and what it said last."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

SHAPES = [
    ("openai", "OpenAI: usage and costs by day"),
    ("openrouter", "OpenRouter: credits left"),
    ("deepseek", "DeepSeek: balance"),
    ("moonshot", "Moonshot: balance"),
    ("siliconflow", "SiliconFlow: balance"),
]
PROJECT = django.core.validators.RegexValidator(
    "^[A-Za-z0-9_-]*$", "A project's id has letters, digits, - and _."
)


def decimal(max_digits: int, places: int) -> models.DecimalField:
    return models.DecimalField(
        decimal_places=places, editable=False, max_digits=max_digits, null=True
    )


class Migration(migrations.Migration):
    dependencies = [("proxy", "0008_named_providers")]
    operations = [
        migrations.CreateModel(
            name="ProviderAccount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("shape", models.CharField(choices=SHAPES, max_length=20)),
                ("encrypted_secret", models.BinaryField(default=b"")),
                ("hint", models.CharField(blank=True, editable=False, max_length=12)),
                ("origin", models.CharField(blank=True, editable=False, max_length=320)),
                (
                    "project",
                    models.CharField(
                        blank=True,
                        help_text="OpenAI only: the project that our keys belong to. Empty: all of"
                        " the account.",
                        max_length=60,
                        validators=[PROJECT],
                    ),
                ),
                (
                    "alarm_below",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="Staff are told when less is left, in the account's currency.",
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                ("balance", decimal(20, 6)),
                ("currency", models.CharField(blank=True, editable=False, max_length=3)),
                ("balance_at", models.DateTimeField(editable=False, null=True)),
                ("daily_cost", decimal(20, 6)),
                ("days_left", decimal(12, 1)),
                ("usage_at", models.DateTimeField(editable=False, null=True)),
                ("rests_until", models.DateTimeField(editable=False, null=True)),
                (
                    "provider",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="account",
                        to="proxy.provider",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(balance=None, balance_at=None)
                        | Q(balance__isnull=False, balance_at__isnull=False) & ~Q(currency=""),
                        name="provider_balance_has_its_instant",
                    )
                ],
            },
        ),
    ]
