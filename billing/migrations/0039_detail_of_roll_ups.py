from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0038_exports'),
    ]

    operations = [
        migrations.AddField(
            model_name='rolluprange',
            name='quarters_from',
            field=models.DateTimeField(null=True),
        ),
    ]
