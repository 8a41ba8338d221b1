import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0009_model_bounds"),
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="KeyWriteOff",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("hour", models.DateTimeField(help_text="When the hour began.")),
                ("credits", models.BigIntegerField()),
                (
                    "api_key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="write_offs",
                        to="accounts.apikey",
                    ),
                ),
            ],
            options={
                "verbose_name": "write-offs of a key",
                "verbose_name_plural": "write-offs of keys",
                "ordering": ["-hour", "-credits"],
                "indexes": [models.Index(fields=["hour"], name="key_write_off_by_hour")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("api_key", "hour"), name="key_write_off_is_one_row"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("credits__gte", 0)),
                        name="key_write_off_is_not_negative",
                    ),
                ],
            },
        ),
    ]
