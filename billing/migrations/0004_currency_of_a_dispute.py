"""A dispute keeps the currency in which it is told."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_customers_at_stripe")]
    operations = [
        migrations.AddField(
            model_name="dispute",
            name="currency",
            field=models.CharField(blank=True, db_default="", max_length=3),
        ),
    ]
