"""Many new rows in one COPY: PostgreSQL's way in that costs both sides least.

`bulk_create` prepares each value of each row in Python, which takes more than all else that a
booking does.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from operator import attrgetter
from typing import Any

from django.db import connection
from django.db.models import CharField, Field, JSONField, Model
from psycopg.types.json import Jsonb


def copy_in(rows: Sequence[Model]) -> None:
    """Insert new rows of one model, and give each its id. All of a row's fields are set.

    Constraints and triggers hold as ever. Raises what an INSERT does.
    """
    if not rows:
        return
    fields = rows[0]._meta.concrete_fields
    _number(rows)
    values = attrgetter(*(field.attname for field in fields))
    writers = [_writer_of(field) for field in fields]
    packed = (
        [write(value) if write else value for write, value in zip(writers, row, strict=True)]
        for row in map(values, rows)
    )
    columns = ", ".join(f'"{field.column}"' for field in fields)
    _copy(f'COPY "{rows[0]._meta.db_table}" ({columns}) FROM STDIN', packed)
    for row in rows:
        row._state.adding = False
        row._state.db = connection.alias


def _number(rows: Sequence[Model]) -> None:
    """Take an id for each row, in their order."""
    table = rows[0]._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [table, len(rows)],
        )
        for row, (number,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = number


def _writer_of(field: Field[Any, Any]) -> Callable[[Any], object] | None:
    """Return what makes a field's value one that psycopg writes; None if it is."""
    if isinstance(field, JSONField):
        return lambda value: None if value is None else Jsonb(value)
    # A choice is an enumeration's member, of which psycopg would write the name.
    return str if isinstance(field, CharField) and not field.null else None


def _copy(statement: str, rows: Iterable[Sequence[object]]) -> None:
    """Send rows. Whoever watches the connection's statements sees this one, too."""
    with connection.cursor() as cursor:

        def send(sql: str, *_: object) -> None:
            with connection.wrap_database_errors, cursor.copy(sql) as copy:
                for row in rows:
                    copy.write_row(row)

        # As Django's own cursor does around each statement.
        execute: Callable[..., None] = reduce(
            lambda inner, wrapper: partial(wrapper, inner), connection.execute_wrappers, send
        )
        execute(statement, None, False, {"connection": connection, "cursor": cursor})
