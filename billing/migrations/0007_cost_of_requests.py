from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0006_codes_and_welcome'),
    ]

    operations = [
        migrations.AddField(
            model_name='usagerecord',
            name='cost_nanos',
            field=models.BigIntegerField(help_text='In billionths of the currency.', null=True),
        ),
        migrations.AddConstraint(
            model_name='usagerecord',
            constraint=models.CheckConstraint(condition=models.Q(('cost_nanos', None), ('cost_nanos__gte', 0), _connector='OR'), name='usage_cost_is_not_negative'),
        ),
    ]
