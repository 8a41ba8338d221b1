"""The terms of a promotion stay once an order has its bonus, whoever asks for another value.

An order that is being made holds its promotion from its first statement on, where the check of its
foreign key would at its last. A change of terms waits for it by a lock on the whole row, and looks
after that.
"""

from django.db import migrations

FORBID = """
CREATE FUNCTION billing_hold_promotion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.promotion_id IS DISTINCT FROM OLD.promotion_id THEN
        PERFORM 1 FROM billing_promotion WHERE id = NEW.promotion_id FOR KEY SHARE;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER order_holds_its_promotion BEFORE INSERT OR UPDATE OF promotion_id ON billing_order
    FOR EACH ROW WHEN (NEW.promotion_id IS NOT NULL) EXECUTE FUNCTION billing_hold_promotion();

CREATE FUNCTION billing_demand_no_order_of(promotion bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM billing_promotion WHERE id = promotion FOR UPDATE;
    IF EXISTS (SELECT 1 FROM billing_order WHERE promotion_id = promotion) THEN
        RAISE EXCEPTION 'promotion %: orders have its bonus, so its terms stay', promotion
            USING ERRCODE = 'restrict_violation';
    END IF;
END
$$;

CREATE FUNCTION billing_forbid_other_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM billing_demand_no_order_of(OLD.id);
    RETURN NEW;
END
$$;
CREATE TRIGGER promotion_terms_stay BEFORE UPDATE ON billing_promotion FOR EACH ROW
    WHEN ((OLD.bonus_percent, OLD.covers_amounts, OLD.starts_at)
          IS DISTINCT FROM (NEW.bonus_percent, NEW.covers_amounts, NEW.starts_at))
    EXECUTE FUNCTION billing_forbid_other_terms();

CREATE FUNCTION billing_forbid_other_packs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM billing_demand_no_order_of(OLD.promotion_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM billing_demand_no_order_of(NEW.promotion_id);
        RETURN NEW;
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER promotion_packs_stay
    BEFORE INSERT OR UPDATE OR DELETE ON billing_promotion_packs
    FOR EACH ROW EXECUTE FUNCTION billing_forbid_other_packs();
"""
ALLOW = """
DROP TRIGGER promotion_packs_stay ON billing_promotion_packs;
DROP FUNCTION billing_forbid_other_packs();
DROP TRIGGER promotion_terms_stay ON billing_promotion;
DROP FUNCTION billing_forbid_other_terms();
DROP FUNCTION billing_demand_no_order_of(bigint);
DROP TRIGGER order_holds_its_promotion ON billing_order;
DROP FUNCTION billing_hold_promotion();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0048_sales_and_mails_by_time")]
    operations = [migrations.RunSQL(FORBID, ALLOW)]
