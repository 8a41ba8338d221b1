"""A statement as a file: which formats there are, and each file's name."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils import translation

from billing.models import Wallet
from billing.statements.csv_file import write_csv
from billing.statements.month import Statement, list_months, make_statement, parse_month


def write_pdf(statement: Statement) -> bytes:
    # Late: fpdf brings fontTools, a quarter of what every process imports, and few write a PDF.
    from billing.statements import pdf_file

    return pdf_file.write_pdf(statement)


FORMATS: dict[str, tuple[str, Callable[[Statement], bytes]]] = {
    "pdf": ("application/pdf", write_pdf),
    "csv": ("text/csv; charset=utf-8", write_csv),
}


@dataclass(frozen=True, slots=True)
class StatementFile:
    """A month's statement, ready to be saved."""

    name: str
    content_type: str
    content: bytes


def find_file(wallet: Wallet, month_text: str, file_format: str) -> StatementFile | None:
    """Return a wallet's statement as a file; None if there is no such month or format."""
    month = parse_month(month_text)
    if month is None or month not in list_months(wallet) or file_format not in FORMATS:
        return None
    content_type, write = FORMATS[file_format]
    # Programs read tables: they are the same for everybody.
    with translation.override("en" if file_format == "csv" else translation.get_language()):
        content = write(make_statement(wallet, month))
    return StatementFile(f"statement-{month}.{file_format}", content_type, content)
