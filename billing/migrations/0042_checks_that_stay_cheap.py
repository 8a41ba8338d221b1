"""Each check of the books finds an entry's neighbours by one look into an index.

"Is there a later entry of this wallet?" was planned as a scan of the whole ledger where one wallet
has most of it: PostgreSQL expected to meet one at once, and there is none. Rows that are compared
as `(wallet_id, id)`, in the order of the index, leave it no other plan.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

CHECK = """
CREATE OR REPLACE FUNCTION billing_check_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    neighbour record;
    before bigint := 0;
    posted bigint;
BEGIN
    SELECT e.wallet_id, e.balance_credits INTO neighbour FROM public.billing_ledgerentry e
     WHERE (e.wallet_id, e.id) < (NEW.wallet_id, NEW.id)
     ORDER BY e.wallet_id DESC, e.id DESC LIMIT 1;
    IF neighbour.wallet_id = NEW.wallet_id THEN
        before := neighbour.balance_credits;
    END IF;
    IF NEW.balance_credits <> before + NEW.amount_credits THEN
        PERFORM public.billing_books_differ(NEW.wallet_id, format(
            'entry %s leaves %s after %s', NEW.id, NEW.balance_credits, before));
    END IF;
    SELECT e.wallet_id INTO neighbour FROM public.billing_ledgerentry e
     WHERE (e.wallet_id, e.id) > (NEW.wallet_id, NEW.id)
     ORDER BY e.wallet_id, e.id LIMIT 1;
    IF neighbour.wallet_id = NEW.wallet_id THEN
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

CREATE OR REPLACE FUNCTION billing_check_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    posted bigint;
    newest record;
    says bigint := 0;
BEGIN
    -- As it is now: one transaction may have changed it often.
    SELECT w.posted_credits INTO posted FROM public.billing_wallet w WHERE w.id = NEW.id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT e.wallet_id, e.balance_credits INTO newest FROM public.billing_ledgerentry e
     WHERE e.wallet_id <= NEW.id ORDER BY e.wallet_id DESC, e.id DESC LIMIT 1;
    IF newest.wallet_id = NEW.id THEN
        says := newest.balance_credits;
    END IF;
    IF posted <> says THEN
        PERFORM public.billing_books_differ(NEW.id, format(
            'its balance is %s, its newest entry says %s', posted, says));
    END IF;
    PERFORM public.billing_check_lots(NEW.id, posted);
    RETURN NULL;
END
$$;
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("billing", "0041_notices_have_readers")]
    operations = [
        # Read backwards for the newest first, which one with `-id` can't be for rows compared so.
        AddIndexConcurrently(
            "ledgerentry", models.Index(fields=["wallet", "id"], name="entries_in_order")
        ),
        # The functions before ask the same: they stay right with either index.
        migrations.RunSQL(CHECK, migrations.RunSQL.noop),
        RemoveIndexConcurrently("ledgerentry", "entries_of_a_wallet"),
    ]
