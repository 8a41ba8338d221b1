"""One statement for whole numbers of many rows."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from django.db import connection
from django.db.models import Model

Key = TypeVar("Key", bound=tuple[int, ...])


def set_values(rows: Collection[Model], names: Sequence[str]) -> None:
    """Write these fields of rows of one model. The fields are whole numbers; the rows are locked.

    `bulk_update` compares each row with each id, in a statement that grows with both.
    """
    if not rows:
        return
    [model] = {type(row) for row in rows}
    columns = _columns(model, names)
    arrays = ", ".join("%s::bigint[]" for _ in ["id", *columns])
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE "{model._meta.db_table}" t'  # noqa: S608  # names of models
            f" SET {', '.join(f'{column} = v.{column}' for column in columns)}"
            f" FROM unnest({arrays}) AS v(id, {', '.join(columns)}) WHERE t.id = v.id",
            [[getattr(row, name) for row in rows] for name in ["pk", *names]],
        )


def add_amounts(
    model: type[Model], keys: Sequence[str], amounts: Mapping[Key, int], *, to: str
) -> None:
    """Add amounts to a column of rows that `keys` tell apart, and make those that are missing.

    Keys and amounts are whole numbers; a unique constraint is on the keys. Rows are locked in the
    order of their keys.
    """
    if not amounts:
        return
    columns = _columns(model, keys)
    own, table = ", ".join(columns), f'"{model._meta.db_table}"'
    arrays = ", ".join("%s::bigint[]" for _ in [*columns, to])
    ordered = sorted(amounts)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({own}, {to})"  # noqa: S608  # names of models
            f" SELECT * FROM unnest({arrays}) AS v({own}, {to}) ORDER BY {own}"
            f" ON CONFLICT ({own}) DO UPDATE SET {to} = {table}.{to} + excluded.{to}",
            [*map(list, zip(*ordered, strict=True)), [amounts[key] for key in ordered]],
        )


def _columns(model: type[Model], names: Sequence[str]) -> list[str]:
    columns = {field.name: field.column for field in model._meta.concrete_fields}
    return [str(columns[name]) for name in names]
