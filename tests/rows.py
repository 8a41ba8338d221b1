"""Everything that the database has, to see that nothing changed."""

from django.db import connection
from psycopg.sql import SQL, Identifier


def everything() -> set[str]:
    """Return every row of every table, but for those of sessions."""
    own = {"django_session", "usersessions_usersession"}
    rows: set[str] = set()
    with connection.cursor() as cursor:
        for table in sorted(set(connection.introspection.table_names()) - own):
            cursor.execute(SQL("SELECT t::text FROM {} AS t").format(Identifier(table)))
            rows |= {f"{table}: {row[0]}" for row in cursor.fetchall()}
    return rows
