"""A statement as a PDF: one page for most customers, more where needed.

We use fpdf2, not reportlab, because it takes each character from the first font that has it and
writes right-to-left scripts, so that no name makes it crash or is lost. A closed month gives the
same bytes each time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from django.conf import settings
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.formats import get_format
from django.utils.translation import get_language, gettext
from fpdf import FPDF
from fpdf.enums import Align, TableBordersLayout, TableCellFillMode
from fpdf.fonts import FontFace
from fpdf.table import Table

from billing.statements.fonts import FALLBACKS, FOLDER, MAIN, fallbacks_for, printable
from billing.statements.month import Section, Statement
from common.money import credits as credits_text

INK, PALE, ACCENT = (16, 23, 21), (83, 96, 92), (10, 122, 88)
RULE, FILL = (227, 232, 230), (246, 248, 247)
MARGIN_MM = 18
BODY_PT, SMALL_PT = 9.5, 8.0
LINE_MM = 5.0


class Paper(FPDF):
    """A4, with the shop's name and the page's number at the foot of each page."""

    def __init__(self, *, foot: str) -> None:
        super().__init__(format="A4")
        self._foot = foot
        self.set_margin(MARGIN_MM)
        self.set_auto_page_break(True, margin=MARGIN_MM + 4)
        for style, name in (("", "Regular"), ("B", "Bold")):
            self.add_font(MAIN, style, FOLDER / f"{MAIN}-{name}.ttf")
        self.set_draw_color(*RULE)

    def footer(self) -> None:
        self.set_y(-MARGIN_MM)
        self.write_in(PALE, SMALL_PT)
        half = self.epw / 2
        self.cell(half, 5, self._foot)
        self.cell(
            half,
            5,
            gettext("Page {page} of {pages}").format(page=self.page_no(), pages="{nb}"),
            align=Align.R,
        )

    def write_in(self, colour: tuple[int, int, int], size_pt: float, style: str = "") -> None:
        """Set the colour and the font of the text that follows."""
        self.set_text_color(*colour)
        self.set_font(MAIN, style, size_pt)
        # fpdf2 selects a font with the first text in it, and loses it again if that text starts
        # in a fallback font. So the first text is a space without width.
        x = self.x
        self.cell(0.01, 0, " ")
        self.x = x


def write_pdf(statement: Statement) -> bytes:
    """Return the statement as a PDF."""
    paper = _new_paper(statement)
    paper.add_page()
    _write_head(paper, statement)
    _write_summary(paper, statement)
    for section in statement.sections:
        _write_section(paper, section)
    if statement.usage:
        _write_usage(paper, statement)
    return bytes(paper.output())


def _new_paper(statement: Statement) -> Paper:
    paper = Paper(foot=printable(f"{settings.SITE_NAME} · {settings.SITE_URL}"))
    needed = fallbacks_for(_all_text(statement))
    for name in needed:
        paper.add_font(name, "", FOLDER / FALLBACKS[name])
    if needed:
        paper.set_fallback_fonts(needed, exact_match=False)
        paper.set_text_shaping(True)
    made_at = statement.month.end if statement.is_closed else timezone.now().astimezone(UTC)
    paper.set_creation_date(made_at)
    paper.set_title(gettext("Statement {month}").format(month=statement.month))
    paper.set_author(settings.SITE_NAME)
    paper.set_lang(get_language() or "en")
    return paper


def _all_text(statement: Statement) -> str:
    words = [line.words for section in statement.sections for line in section.lines]
    names = [f"{line.model_name}{line.key_name}{line.key_hint}" for line in statement.usage]
    site = f"{settings.SITE_NAME}{settings.SITE_URL}"
    return printable("".join([statement.email, *statement.company, site, *words, *names]))


def _write_head(paper: Paper, statement: Statement) -> None:
    month = statement.month
    paper.write_in(ACCENT, 11, "B")
    paper.cell(paper.epw, 6, printable(settings.SITE_NAME), new_x="LMARGIN", new_y="NEXT")
    paper.write_in(INK, 22, "B")
    paper.cell(
        paper.epw,
        12,
        gettext("Statement for {month}").format(month=month.words),
        new_x="LMARGIN",
        new_y="NEXT",
    )
    paper.write_in(PALE, BODY_PT)
    for line in (*statement.company, statement.email):
        _write_line(paper, printable(line))
    period = gettext("1 to {last} {month}, UTC. Amounts are in credits.").format(
        last=month.last_day.day, month=month.words
    )
    if not statement.is_closed:
        period += " " + gettext("Not closed yet: as booked on {instant}.").format(
            instant=_minute(timezone.now())
        )
    _write_line(paper, period)
    paper.ln(5)


def _write_line(paper: Paper, text: str) -> None:
    paper.multi_cell(paper.epw, LINE_MM, text, align=Align.L, new_x="LMARGIN", new_y="NEXT")


def _write_summary(paper: Paper, statement: Statement) -> None:
    rows = [(gettext("Opening balance"), statement.opening_credits, True)]
    rows += [(section.title, section.amount_credits, False) for section in statement.sections]
    if statement.usage:
        rows.append((gettext("Usage"), statement.usage_credits, False))
    rows.append((gettext("Closing balance"), statement.closing_credits, True))
    with _table(paper, widths=(3, 1), aligns=(Align.L, Align.R), has_heading=False) as table:
        for title, amount, is_balance in rows:
            text = _plain(amount) if is_balance else _signed(amount)
            style = FontFace(emphasis="B", size_pt=11) if is_balance else None
            table.row([title, text], style=style)


def _write_section(paper: Paper, section: Section) -> None:
    _write_title(paper, section.title, _signed(section.amount_credits))
    aligns = (Align.L, Align.L, Align.R)
    with _table(paper, widths=(2, 6, 2), aligns=aligns) as table:
        table.row([gettext("Date (UTC)"), gettext("What"), gettext("Credits")])
        for line in section.lines:
            table.row([_minute(line.at), printable(line.words), _signed(line.amount_credits)])


def _write_usage(paper: Paper, statement: Statement) -> None:
    _write_title(paper, gettext("Usage by model and key"), _signed(statement.usage_credits))
    aligns = (Align.L, Align.L, Align.R, Align.R)
    with _table(paper, widths=(3, 4, 1.5, 2), aligns=aligns) as table:
        table.row([gettext("Model"), gettext("API key"), gettext("Requests"), gettext("Credits")])
        for line in statement.usage:
            key = f"{line.key_name} {line.key_hint}".strip()
            table.row(
                [
                    printable(line.model_name),
                    printable(key),
                    credits_text(line.requests),
                    _signed(line.amount_credits),
                ]
            )


def _write_title(paper: Paper, title: str, amount: str) -> None:
    paper.ln(8)
    # Keep a title on the same page as the first row below it.
    if paper.will_page_break(30):
        paper.add_page()
    paper.write_in(INK, 12, "B")
    paper.cell(paper.epw / 2, 8, title)
    paper.cell(paper.epw / 2, 8, amount, align=Align.R, new_x="LMARGIN", new_y="NEXT")


@contextmanager
def _table(
    paper: Paper,
    *,
    widths: Sequence[float],
    aligns: Sequence[Align],
    has_heading: bool = True,
) -> Iterator[Table]:
    paper.write_in(INK, BODY_PT)
    with paper.table(
        col_widths=tuple(widths),
        text_align=tuple(aligns),
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        cell_fill_mode=TableCellFillMode.NONE,
        first_row_as_headings=has_heading,
        headings_style=FontFace(color=PALE, fill_color=FILL, size_pt=SMALL_PT + 0.5),
        line_height=LINE_MM,
        padding=(1.4, 1.2),
    ) as table:
        yield table


def _signed(amount: int) -> str:
    return f"+{_plain(amount)}" if amount > 0 else _plain(amount)


def _plain(amount: int) -> str:
    # Noto Sans has no minus sign of its own; its en dash is as wide as the plus.
    return credits_text(amount).replace("−", "–")


def _minute(at: datetime) -> str:
    at = at.astimezone(UTC)
    return format_date(at, get_format("SHORT_DATETIME_FORMAT"))
