"""The files: a table that runs nothing and a PDF in which no name is lost."""

import csv
import hashlib
import io
import re
from datetime import UTC, datetime

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from billing.statements.csv_file import HEADER, STARTS_A_FORMULA, write_csv
from billing.statements.fonts import FOLDER, fallbacks_for, printable
from billing.statements.month import Line, Month, Section, Statement, UsageLine
from billing.statements.pdf_file import write_pdf

AT = datetime(2026, 3, 9, 14, 5, tzinfo=UTC)


def make(
    *, pack: str = "Builder", key: str = "Laptop", lines: int = 1, closed: bool = True
) -> Statement:
    """120,400 + 5,000,000 per line − 2,204,112."""
    return Statement(
        email="alice@example.com",
        company=["Acme GmbH", "Tax id DE123456789"],
        month=Month(2026, 3),
        is_closed=closed,
        opening_credits=120_400,
        sections=[Section("Orders", [Line(AT, pack, "order-1", 5_000_000)] * lines)],
        usage=[UsageLine("gpt-4o", key, "tp_live_Ab12…9xYz", 18_204, -2_204_112)],
    )


def read_csv(statement: Statement) -> list[list[str]]:
    return list(csv.reader(io.StringIO(write_csv(statement).decode("utf-8-sig"))))


def read_pdf(statement: Statement) -> str:
    pages = PdfReader(io.BytesIO(write_pdf(statement))).pages
    return "\n".join(page.extract_text() for page in pages)


def test_the_table_adds_up() -> None:
    header, opening, *lines, closing = read_csv(make())

    assert header == list(HEADER)
    assert int(opening[-1]) + sum(int(line[-1]) for line in lines) == int(closing[-1]) == 2_916_288


def test_numbers_stay_numbers() -> None:
    text = write_csv(make()).decode("utf-8-sig")

    assert text.splitlines()[3].endswith('"Laptop tp_live_Ab12…9xYz",18204,-2204112')


@pytest.mark.parametrize(
    "name",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =cmd|' /C calc'!A0", "＝1"),
        *("\n=1+1", "\u200b=1+1", "\ufeff\u200d@SUM(A1)", "\u202e-1", "\u00a0=1"),
    ],
)
def test_no_cell_starts_a_formula(name: str) -> None:
    rows = read_csv(make(pack=name, key=name))

    assert (rows[2][2], rows[3][4]) == (
        f"'{name}",
        f"'{name} tp_live_Ab12…9xYz",
    )


@pytest.mark.parametrize(
    "name", ["x\n=1+1", "x\r\n\u200b=1", "x;=1+1", "x; @SUM(A1)", 'x;"=1+1', "x\t-1", "x;＝1"]
)
def test_no_cell_starts_a_formula_where_semicolons_separate_cells(name: str) -> None:
    text = write_csv(make(pack=name, key=name)).decode("utf-8-sig")

    cells = [cell for line in text.splitlines() for cell in re.split(r"[;\t\r\n]", line)]
    assert [cell for cell in cells if cell.lstrip(' "').startswith(STARTS_A_FORMULA)] == []


@given(name=st.text(max_size=60))
@settings(max_examples=100)
def test_no_name_breaks_the_table(name: str) -> None:
    rows = read_csv(make(pack=name, key=name))

    assert [len(row) for row in rows] == [len(HEADER)] * 5
    cells = [cell for row in rows[1:] for cell in row[:5]]
    assert not [cell for cell in cells if cell.startswith(STARTS_A_FORMULA)]


def test_the_pdf_has_every_figure() -> None:
    text = read_pdf(make())

    for words in (
        "March 2026",
        "alice@example.com",
        "120,400",
        "+5,000,000",
        "2,916,288",
        "18,204",
    ):
        assert words in text
    assert "–2,204,112" in text


def test_every_character_of_the_pdf_has_a_glyph(caplog: pytest.LogCaptureFixture) -> None:
    empty = Statement(
        email="a@b.example", company=[], month=Month(2026, 3), is_closed=True, opening_credits=-4
    )

    text = read_pdf(empty)

    assert text.count("–4") == 2
    assert "missing the following glyphs" not in caplog.text


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("山田太郎のキー", "山田太郎のキー"),
        ("Ключ Ελληνικά", "Ключ Ελληνικά"),
        ("한국어", "한국어"),
        ("กุญแจ", "กญแจ"),
        ("rocket 🚀", "rocket [U+1F680]"),
        ("tab\tnull\x00", "tab null[U+0000]"),
    ],
)
def test_no_name_vanishes_from_the_pdf(name: str, seen: str) -> None:
    text = read_pdf(make(pack=name, key=name))

    # A mark above or below a letter is not always where a reader of the text expects it.
    assert text.count(seen) == 2 or text.replace("ุ", "").count(seen) == 2


@pytest.mark.parametrize("name", ["مفتاح المشروع", "שלום", "कुंजी हिन्दी"])
def test_a_script_that_is_shaped_has_its_font(name: str) -> None:
    assert len(fallbacks_for(name)) == 1
    assert "[U+" not in printable(name)
    assert write_pdf(make(key=name)).startswith(b"%PDF-")


@given(name=st.text(max_size=40))
@settings(max_examples=12)
def test_no_name_breaks_the_pdf(name: str) -> None:
    assert write_pdf(make(pack=name, key=name)).startswith(b"%PDF-")


def test_a_closed_month_is_the_same_file_whenever_it_is_made() -> None:
    with time_machine.travel(datetime(2026, 4, 2, tzinfo=UTC), tick=False):
        first = write_pdf(make())
    with time_machine.travel(datetime(2027, 1, 1, tzinfo=UTC), tick=False):
        later = write_pdf(make())

    assert first == later


def test_a_month_that_runs_says_so() -> None:
    with time_machine.travel(AT, tick=False):
        text = read_pdf(make(closed=False))

    assert "Not closed yet: as booked on 9 Mar 2026, 14:05" in " ".join(text.split())


def test_a_long_month_has_many_pages_with_their_numbers() -> None:
    pages = PdfReader(io.BytesIO(write_pdf(make(lines=120)))).pages

    assert len(pages) > 3
    assert f"Page 2 of {len(pages)}" in pages[1].extract_text()
    assert "What" in pages[1].extract_text()


def test_the_fonts_are_those_that_were_looked_at() -> None:
    listed = re.findall(
        r"\| `(\S+\.ttf)` \|.*`([0-9a-f]{64})` \|", (FOLDER / "README.md").read_text()
    )
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in FOLDER.glob("*.ttf")
    }

    assert dict(listed) == found
