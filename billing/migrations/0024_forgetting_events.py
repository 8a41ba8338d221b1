"""Old events of Stripe's are deleted by a function of the owner's.

The role that serves may delete none, so that nobody there can make an event be taken for new while
Stripe still tells of it, which it does for 30 days.
"""

from django.db import migrations

FORGET = """
CREATE FUNCTION billing_forget_events(ids bigint[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
WITH gone AS (
    DELETE FROM billing_stripeevent
    WHERE id = ANY(ids) AND processed_at IS NOT NULL AND received_at < now() - interval '30 days'
    RETURNING 1
)
SELECT count(*) FROM gone
$$;
"""
REMEMBER = "DROP FUNCTION billing_forget_events(bigint[]);"


class Migration(migrations.Migration):
    dependencies = [("billing", "0023_approvals")]
    operations = [migrations.RunSQL(FORGET, REMEMBER)]
