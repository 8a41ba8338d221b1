import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("proxy", "0002_keys_and_capabilities"),
    ]

    operations = [
        migrations.AlterField(
            model_name="provider",
            name="connect_timeout_s",
            field=models.PositiveSmallIntegerField(
                default=5,
                help_text="How long a connection may take to open, in seconds; then the next is tried.",
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AlterField(
            model_name="provider",
            name="first_byte_timeout_s",
            field=models.PositiveSmallIntegerField(
                default=60,
                help_text="Streams only: how long the first event may take, headers included.",
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AlterField(
            model_name="provider",
            name="idle_timeout_s",
            field=models.PositiveSmallIntegerField(
                default=60,
                help_text="Streams only: the longest silence between two events.",
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AlterField(
            model_name="provider",
            name="total_timeout_s",
            field=models.PositiveSmallIntegerField(
                default=600,
                help_text="How long a whole answer may take. The only limit of one that is no stream.",
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
    ]
