"""Whether customers see a provider's name. With a default of the database's: no row is written."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("proxy", "0007_german_incidents")]
    operations = [
        migrations.AddField(
            "provider",
            "is_named",
            models.BooleanField(
                "customers see its name",
                db_default=False,
                default=False,
                help_text="On the pages of the models that it serves, and as a filter of their list.",
            ),
        ),
    ]
