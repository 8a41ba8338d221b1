"""Look at all rows, in a transaction of its own: the lock lets others read and write."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0040_status_mails'),
    ]

    operations = [
        ValidateConstraint(model_name='notice', name='notice_has_a_reader'),
    ]
