"""In which language an order is paid. With a default of the database's, so adding it takes no time."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0032_abilities_of_models'),
    ]

    operations = [
        migrations.AddField(
            model_name='order',
            name='language',
            field=models.CharField(blank=True, db_default='', default='', max_length=10),
        ),
    ]
