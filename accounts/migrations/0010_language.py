"""In which language a person reads pages and mails."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_teams_by_name")]
    operations = [
        migrations.AddField(
            model_name="user",
            name="language",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Such as de. Empty: pages as the browser says, mails in English.",
                max_length=10,
            ),
        ),
    ]
