"""Prices start at an instant of their own, and one that has not started can be cancelled.

The versions that are there started when they were made, the last of them last.
"""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models.functions import Now

PAST = """
ALTER TABLE billing_modelprice DISABLE TRIGGER model_price_is_immutable;
UPDATE billing_modelprice p SET starts_at = o.at
  FROM (SELECT id, MAX(created_at) OVER (PARTITION BY model_id ORDER BY version) AS at
          FROM billing_modelprice) o WHERE o.id = p.id;
ALTER TABLE billing_modelprice ENABLE TRIGGER model_price_is_immutable;
"""
FORBID = """
CREATE TRIGGER price_cancellation_is_immutable BEFORE UPDATE OR DELETE ON billing_pricecancellation
    FOR EACH ROW EXECUTE FUNCTION billing_forbid_change();

CREATE FUNCTION billing_forbid_late_cancellation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT starts_at FROM billing_modelprice WHERE id = NEW.price_id)
            <= clock_timestamp() THEN
        RAISE EXCEPTION 'price % has started: it can''t be cancelled', NEW.price_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER price_that_started_is_not_cancelled BEFORE INSERT ON billing_pricecancellation
    FOR EACH ROW EXECUTE FUNCTION billing_forbid_late_cancellation();
"""
ALLOW = """
DROP TRIGGER price_that_started_is_not_cancelled ON billing_pricecancellation;
DROP FUNCTION billing_forbid_late_cancellation();
DROP TRIGGER price_cancellation_is_immutable ON billing_pricecancellation;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0024_forgetting_events")]
    operations = [
        migrations.AddField(
            "modelprice",
            "starts_at",
            models.DateTimeField(
                db_default=Now(),
                default=django.utils.timezone.now,
                editable=False,
                help_text="Requests that are admitted from then on have this price.",
            ),
        ),
        migrations.RunSQL(PAST, migrations.RunSQL.noop),
        migrations.CreateModel(
            "PriceCancellation",
            [
                (
                    "price",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="cancellation",
                        serialize=False,
                        to="billing.modelprice",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
            ],
        ),
        migrations.RunSQL(FORBID, ALLOW),
    ]
