"""A statement as a table for spreadsheets: one row per line, amounts as plain integers.

The amounts of all rows between the opening and the closing balance add up to their difference.
"""

import csv
import io
import re
import unicodedata

from billing.statements.month import Statement

HEADER = ("Section", "Date (UTC)", "Description", "Reference", "API key", "Requests", "Credits")
# A spreadsheet runs a cell that starts with one of these as a formula:
# https://owasp.org/www-community/attacks/CSV_Injection. The last four are the full-width forms.
STARTS_A_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
# Where the comma is the decimal point, spreadsheets split lines at semicolons. A quotation mark
# inside a cell does not prevent that: the text after the semicolon becomes a cell of its own.
# So it is with a line feed, where a program ignores quotation marks.
_UNSEEN = r"\s\"'\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff"
AFTER_A_SEPARATOR = re.compile(rf"(?<=.)([;\t\r\n][{_UNSEEN}]*)(?=[=+\-@＝＋－＠])", re.DOTALL)

Cell = str | int


def write_csv(statement: Statement) -> bytes:
    """Return the statement as CSV, in UTF-8 with the byte order mark that Excel needs."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(HEADER)
    for row in _rows(statement):
        writer.writerow([safe_cell(cell) for cell in row])
    return file.getvalue().encode("utf-8-sig")


def _rows(statement: Statement) -> list[tuple[Cell, ...]]:
    month = statement.month
    end = f"{month.last_day}" if statement.is_closed else ""
    return [
        _balance("Opening balance", f"{month.start:%Y-%m-%d}", statement.opening_credits),
        *(
            (
                section.title,
                f"{line.at:%Y-%m-%d %H:%M:%S}",
                line.words,
                line.reference,
                "",
                "",
                line.amount_credits,
            )
            for section in statement.sections
            for line in section.lines
        ),
        *(
            (
                "Usage",
                "",
                line.model_name,
                "",
                f"{line.key_name} {line.key_hint}".rstrip(),
                line.requests,
                line.amount_credits,
            )
            for line in statement.usage
        ),
        _balance("Closing balance", end, statement.closing_credits),
    ]


def _balance(title: str, day: str, credits: int) -> tuple[Cell, ...]:
    return (title, day, "", "", "", "", credits)


def safe_cell(cell: Cell) -> Cell:
    """Put an apostrophe before text that a spreadsheet would run as a formula. Keep numbers."""
    if not isinstance(cell, str):
        return cell
    starts = cell.startswith(STARTS_A_FORMULA) or _seen(cell).startswith(STARTS_A_FORMULA)
    return ("'" if starts else "") + AFTER_A_SEPARATOR.sub(r"\1'", cell)


def _seen(cell: str) -> str:
    """Return a cell from its first visible character on, as some spreadsheets read it."""
    return cell.lstrip("".join(set(filter(_is_invisible, cell))))


def _is_invisible(char: str) -> bool:
    # Control, format (such as zero-width) and other characters without a mark, and white space.
    return char.isspace() or unicodedata.category(char)[0] == "C"
