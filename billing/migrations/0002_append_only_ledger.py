"""The ledger can only grow: a trigger refuses UPDATE and DELETE, whoever asks."""

from django.db import migrations

FORBID = """
CREATE FUNCTION billing_forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER ledger_entry_is_immutable BEFORE UPDATE OR DELETE ON billing_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION billing_forbid_change();
CREATE TRIGGER model_price_is_immutable BEFORE UPDATE OR DELETE ON billing_modelprice
    FOR EACH ROW EXECUTE FUNCTION billing_forbid_change();

-- A receipt may only be corrected upwards: a replay learned of more than the first settlement knew.
CREATE FUNCTION billing_forbid_lowering() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.charged_credits < OLD.charged_credits
        OR NEW.target_credits < OLD.target_credits OR NEW.request_id <> OLD.request_id
        OR NEW.wallet_id <> OLD.wallet_id THEN
        RAISE EXCEPTION 'usage record % can only be raised: % refused', OLD.request_id, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER usage_record_only_grows BEFORE UPDATE OR DELETE ON billing_usagerecord
    FOR EACH ROW EXECUTE FUNCTION billing_forbid_lowering();
"""

ALLOW = """
DROP TRIGGER usage_record_only_grows ON billing_usagerecord;
DROP TRIGGER model_price_is_immutable ON billing_modelprice;
DROP TRIGGER ledger_entry_is_immutable ON billing_ledgerentry;
DROP FUNCTION billing_forbid_lowering();
DROP FUNCTION billing_forbid_change();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [migrations.RunSQL(FORBID, ALLOW)]
