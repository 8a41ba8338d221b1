"""The figures of a margin as text: a page has two hundred rows of them."""

from decimal import ROUND_HALF_UP, Decimal

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from billing.margin.reads import Margin

register = template.Library()

TEN_THOUSANDTH = Decimal("0.0001")
TENTH = Decimal("0.1")
CELLS = (
    '<td class="numeric">{}</td><td class="numeric">{}</td><td class="numeric">{}</td>'
    '<td class="numeric">{}{}</td><td class="numeric">{}{}</td>'
    '<td class="numeric">{}</td><td class="numeric">{}</td>'
)


@register.simple_tag
def margin_cells(row: Margin) -> SafeString:
    """Return the cells of a row, from how many requests there were to the share that is left."""
    share = row.share_percent
    return format_html(
        CELLS,
        f"{row.requests:,}",
        f"{row.charged_credits:,}",
        f"{row.write_off_credits:,}",
        _rounded(row.income, TEN_THOUSANDTH),
        _missing(
            _unknown(row.unknown_income_requests),
            *(f"no rate for {currency.upper()}" for currency in sorted(row.unrated)),
        ),
        _rounded(row.cost, TEN_THOUSANDTH),
        _missing(_unknown(row.unpriced_requests)),
        _rounded(row.margin, TEN_THOUSANDTH),
        "–" if share is None else f"{_rounded(share, TENTH)} %",
    )


def _rounded(amount: Decimal, step: Decimal) -> str:
    # Minus zero is no amount.
    return f"{amount.quantize(step, ROUND_HALF_UP) + 0:,}"


def _unknown(requests: int) -> str:
    return f"{requests:,} not known" if requests else ""


def _missing(*notes: str) -> SafeString:
    return format_html_join(
        "", ' <span class="state state-waiting">{}</span>', ((note,) for note in notes if note)
    )
