"""At each commit, the balance and the lots of every wallet that was touched agree with its entries.

Each check is of one wallet and looks at one entry before, the newest entry and the lots that have
something left, so that what it costs does not grow with the ledger: if all was right before, and
every new entry follows from the one before it, the newest entry's balance is the sum of all.
"""

from django.db import migrations

CHECK = """
CREATE FUNCTION billing_books_differ(wallet bigint, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'books of wallet % differ: %', wallet, what
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE FUNCTION billing_check_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
    posted bigint;
BEGIN
    SELECT e.balance_credits INTO before FROM public.billing_ledgerentry e
     WHERE e.wallet_id = NEW.wallet_id AND e.id < NEW.id ORDER BY e.id DESC LIMIT 1;
    IF NEW.balance_credits <> COALESCE(before, 0) + NEW.amount_credits THEN
        PERFORM public.billing_books_differ(NEW.wallet_id, format(
            'entry %s leaves %s after %s', NEW.id, NEW.balance_credits, COALESCE(before, 0)));
    END IF;
    IF EXISTS (SELECT FROM public.billing_ledgerentry e
                WHERE e.wallet_id = NEW.wallet_id AND e.id > NEW.id) THEN
        RETURN NULL;
    END IF;
    SELECT w.posted_credits INTO posted FROM public.billing_wallet w WHERE w.id = NEW.wallet_id;
    IF posted <> NEW.balance_credits THEN
        PERFORM public.billing_books_differ(NEW.wallet_id, format(
            'its balance is %s, its newest entry says %s', posted, NEW.balance_credits));
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION billing_check_lots(wallet bigint, posted bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    remaining numeric;
BEGIN
    SELECT COALESCE(SUM(l.remaining_credits), 0) INTO remaining FROM public.billing_lot l
     WHERE l.wallet_id = wallet AND l.remaining_credits > 0;
    IF remaining <> posted THEN
        PERFORM public.billing_books_differ(wallet, format(
            'its balance is %s, its lots have %s left', posted, remaining));
    END IF;
END
$$;

CREATE FUNCTION billing_check_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    posted bigint;
    newest bigint;
BEGIN
    -- As it is now: one transaction may have changed it often.
    SELECT w.posted_credits INTO posted FROM public.billing_wallet w WHERE w.id = NEW.id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT e.balance_credits INTO newest FROM public.billing_ledgerentry e
     WHERE e.wallet_id = NEW.id ORDER BY e.id DESC LIMIT 1;
    IF posted <> COALESCE(newest, 0) THEN
        PERFORM public.billing_books_differ(NEW.id, format(
            'its balance is %s, its newest entry says %s', posted, COALESCE(newest, 0)));
    END IF;
    PERFORM public.billing_check_lots(NEW.id, posted);
    RETURN NULL;
END
$$;

CREATE FUNCTION billing_check_lot() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    touched bigint;
    posted bigint;
BEGIN
    FOREACH touched IN ARRAY CASE TG_OP WHEN 'INSERT' THEN ARRAY[NEW.wallet_id]
                                        WHEN 'DELETE' THEN ARRAY[OLD.wallet_id]
                                        ELSE ARRAY[NEW.wallet_id, OLD.wallet_id] END
    LOOP
        SELECT w.posted_credits INTO posted FROM public.billing_wallet w WHERE w.id = touched;
        IF FOUND THEN
            PERFORM public.billing_check_lots(touched, posted);
        END IF;
        EXIT WHEN TG_OP = 'UPDATE' AND NEW.wallet_id = OLD.wallet_id;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER entry_agrees_with_books AFTER INSERT ON billing_ledgerentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_entry();
CREATE CONSTRAINT TRIGGER lot_agrees_with_books
    AFTER INSERT OR DELETE OR UPDATE OF remaining_credits, wallet_id ON billing_lot
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_lot();
CREATE CONSTRAINT TRIGGER wallet_agrees_with_books
    AFTER INSERT OR UPDATE OF posted_credits ON billing_wallet
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_wallet();
"""

TRUST = """
DROP TRIGGER wallet_agrees_with_books ON billing_wallet;
DROP TRIGGER lot_agrees_with_books ON billing_lot;
DROP TRIGGER entry_agrees_with_books ON billing_ledgerentry;
DROP FUNCTION billing_check_lot();
DROP FUNCTION billing_check_wallet();
DROP FUNCTION billing_check_lots(bigint, bigint);
DROP FUNCTION billing_check_entry();
DROP FUNCTION billing_books_differ(bigint, text);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0033_language_of_orders")]
    operations = [migrations.RunSQL(CHECK, TRUST)]
