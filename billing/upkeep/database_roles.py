"""What PostgreSQL lets the processes do that serve: no more than they need.

One role owns the tables and migrates; the other serves. The serving role can't alter, truncate or
switch off a trigger, because it owns nothing. Beyond that, what is only ever added to can't be
changed or deleted by it, whatever the code above tries.
"""

from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.db import connection, transaction
from psycopg.sql import SQL, Identifier, Literal

READS, ADDS, KEEPS = "SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"
ALL = f"{KEEPS}, DELETE"
# What the serving role may do to a table; to one that is not named here, anything to its rows.
RIGHTS = {
    "accounts_auditline": ADDS,
    "accounts_teamevent": ADDS,
    "billing_ledgerentry": ADDS,
    "billing_modelprice": ADDS,
    "billing_pricecancellation": ADDS,
    "django_migrations": READS,
    # A trigger sees to it that a receipt is only raised.
    "billing_usagerecord": KEEPS,
    "billing_approval": KEEPS,
    "billing_debit": KEEPS,
    "billing_dispute": KEEPS,
    "billing_freeze": KEEPS,
    "billing_lot": KEEPS,
    "billing_order": KEEPS,
    "billing_refund": KEEPS,
    # Old ones are forgotten by a function of the owner's.
    "billing_stripeevent": KEEPS,
    "billing_topupconsent": KEEPS,
    "billing_wallet": KEEPS,
}
# As `deploy/postgres/roles.sql` calls it: whoever migrates there knows no other address.
DEPLOYED = "tokenproxy_app"
FORGET = "billing_forget_events(bigint[])"


@transaction.atomic
def make_serving_role(url: str) -> bool:
    """Make the role that an address names, and grant it what it needs. False if it was there.

    Run as the owner of the tables, who may make roles unless it is there. Safe to repeat.
    """
    parts = urlsplit(url)
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    is_new = not has_role(name)
    with connection.cursor() as cursor:
        if is_new:
            cursor.execute(
                SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(name), Literal(password))
            )
        database = connection.settings_dict["NAME"]
        cursor.execute(
            SQL("GRANT CONNECT ON DATABASE {} TO {}").format(Identifier(database), Identifier(name))
        )
    restrict(name)
    return is_new


def has_role(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
        return cursor.fetchone() is not None


def restrict_serving_role() -> None:
    """Restrict the serving role after a migration, if the owner migrated and there is one."""
    for name in (urlsplit(settings.DATABASE_SERVING_URL).username or "", DEPLOYED):
        if name and name != connection.settings_dict["USER"] and has_role(name):
            restrict(name)


@transaction.atomic
def restrict(name: str) -> None:
    """Grant the serving role its rights on every table there is, and no others. Safe to repeat."""
    role = Identifier(name)
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        cursor.execute(SQL("GRANT USAGE ON SCHEMA public TO {}").format(role))
        cursor.execute(
            SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(role)
        )
        for table in sorted(tables):
            cursor.execute(
                SQL("REVOKE ALL ON TABLE {0} FROM {1}; GRANT {2} ON TABLE {0} TO {1}").format(
                    Identifier(table), role, SQL(RIGHTS.get(table, ALL))
                )
            )
        cursor.execute("SELECT to_regprocedure(%s)", [FORGET])
        # It is missing while only some migrations were applied.
        if cursor.fetchone() != (None,):
            cursor.execute(SQL("REVOKE ALL ON FUNCTION {} FROM PUBLIC").format(SQL(FORGET)))
            cursor.execute(SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(SQL(FORGET), role))
