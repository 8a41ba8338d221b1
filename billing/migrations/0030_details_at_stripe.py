"""What Stripe was told of a company. With a default of the database's, so adding it takes no time."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0029_homes_of_shards'),
    ]

    operations = [
        migrations.AddField(
            model_name='stripecustomer',
            name='details_digest',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
    ]
