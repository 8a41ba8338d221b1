"""Look at all rows, and index those of promotions, while others read and write."""

from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('billing', '0045_promotions'),
    ]

    operations = [
        ValidateConstraint(model_name='order', name='order_bonus_has_a_promotion'),
        migrations.RunSQL(
            'ALTER TABLE billing_order VALIDATE CONSTRAINT order_has_its_promotion',
            reverse_sql=migrations.RunSQL.noop,
        ),
        AddIndexConcurrently(
            model_name='order',
            index=models.Index(condition=models.Q(('promotion__isnull', False)), fields=['promotion'], name='orders_of_a_promotion'),
        ),
    ]
