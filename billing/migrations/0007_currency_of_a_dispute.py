"""A dispute keeps the currency in which it is told."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_indexes_by_wallet_and_time")]
    operations = [
        migrations.AddField(
            model_name="dispute",
            name="currency",
            field=models.CharField(blank=True, db_default="", max_length=3),
        ),
    ]
