"""What a model can do. With a default of the database's, so adding it takes no time."""

from django.db import migrations, models

import billing.models.catalogue


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0031_german_descriptions'),
    ]

    operations = [
        migrations.AddField(
            model_name='publicmodel',
            name='abilities',
            field=models.JSONField(blank=True, db_default=[], default=list, help_text="By which customers find it. Nothing: as its providers' names tell, for the models of OpenAI.", validators=[billing.models.catalogue.check_abilities]),
        ),
    ]
