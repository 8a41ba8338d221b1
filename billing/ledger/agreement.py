"""The check that PostgreSQL makes at each commit: balances and lots agree with entries.

Its triggers are of the migration `books_that_agree`, and what they run is of
`checks_that_stay_cheap`. Only the owner of the tables can switch them off; the role that serves
can't.
"""

from django.db import connection, transaction

# Of which table each trigger is.
TRIGGERS = {
    "entry_agrees_with_books": "billing_ledgerentry",
    "lot_agrees_with_books": "billing_lot",
    "wallet_agrees_with_books": "billing_wallet",
}
NAMES = ", ".join(TRIGGERS)


def check_now() -> None:
    """Check what the transaction wrote so far, and no more at its commit. Raises IntegrityError.

    For a part of a transaction that may be given up for itself.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SET CONSTRAINTS {NAMES} IMMEDIATE; SET CONSTRAINTS {NAMES} DEFERRED")


@transaction.atomic
def switch_check(*, on: bool) -> None:
    """Switch the check on or off for everybody. What is written meanwhile is not checked later.

    The tables are locked until the caller's transaction ends, so others don't write unchecked.
    """
    verb = "ENABLE" if on else "DISABLE"
    with connection.cursor() as cursor:
        # A table with checks that are due can't be altered.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for trigger, table in TRIGGERS.items():
            cursor.execute(f"ALTER TABLE {table} {verb} TRIGGER {trigger}")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
