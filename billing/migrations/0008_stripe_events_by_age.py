"""Old events are found by when they were received, to be pruned."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # The table may be large, and the webhook writes to it meanwhile.
    atomic = False
    dependencies = [("billing", "0007_currency_of_a_dispute")]
    operations = [
        AddIndexConcurrently(
            model_name="stripeevent",
            index=models.Index(fields=["received_at"], name="stripe_events_by_age"),
        ),
    ]
