from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_returned_top_ups")]

    operations = [
        migrations.AlterField(
            model_name="autotopup",
            name="off_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("customer", "switched off by the customer"),
                    ("declined", "the card was declined"),
                    ("authentication", "the bank asks for a confirmation"),
                    ("terms", "the pack changed or is no longer sold"),
                    ("staff", "switched off by staff"),
                    ("returned", "a payment was refunded or disputed"),
                    ("uncredited", "a payment could not be credited"),
                ],
                max_length=16,
            ),
        ),
    ]
