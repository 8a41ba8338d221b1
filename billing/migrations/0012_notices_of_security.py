from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0011_sell_in_proven_currencies")]

    operations = [
        migrations.AddField(
            model_name="notice",
            name="address",
            field=models.EmailField(
                blank=True,
                default="",
                help_text="Where it goes. Empty: to the customer's address when it is sent.",
                max_length=254,
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("purchase", "receipt"),
                    ("refund", "refund"),
                    ("dispute", "dispute"),
                    ("low_balance", "low balance"),
                    ("lot_expiring", "expiring lot"),
                    ("new_key", "new key"),
                    ("key_rotated", "rotated key"),
                    ("key_revoked", "revoked key"),
                    ("new_sign_in", "new sign-in"),
                    ("password_changed", "changed password"),
                    ("password_reset", "reset password"),
                    ("address_asked", "change of address asked for"),
                    ("address_changed", "changed address"),
                    ("top_up_succeeded", "auto top-up succeeded"),
                    ("top_up_declined", "auto top-up declined"),
                    ("top_up_action", "auto top-up needs authentication"),
                    ("top_up_off", "auto top-up switched off"),
                ],
                max_length=20,
            ),
        ),
    ]
