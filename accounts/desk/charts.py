"""Bar charts of the desk: reckoned here, drawn as SVG by `admin/_bars.html`."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.template.defaultfilters import pluralize

# A bar and the gap beside it.
STEP = 20
HEIGHT = 100


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: where it stands, and what it says."""

    label: str
    text: str
    x: int
    y: int
    height: int
    is_negative: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of one figure. Those below zero hang from the same line as the others stand on."""

    title: str
    unit: str
    summary: str
    bars: list[Bar]

    @property
    def width(self) -> int:
        return len(self.bars) * STEP


def make_chart(title: str, unit: str, figures: Sequence[tuple[str, Decimal | int, str]]) -> Chart:
    """Make a chart of figures, each a label, a value and the value as text."""
    values = [Decimal(value) for _, value, _ in figures]
    top, bottom = max([*values, Decimal(0)]), min([*values, Decimal(0)])
    scale = HEIGHT / (top - bottom) if top > bottom else Decimal(0)
    line = round(top * scale)
    bars = [
        Bar(
            label=label,
            text=text,
            x=number * STEP,
            y=line if value < 0 else line - round(value * scale),
            height=round(abs(value) * scale),
            is_negative=value < 0,
        )
        for number, ((label, _, text), value) in enumerate(zip(figures, values, strict=True))
    ]
    summary = f"last: {figures[-1][2]}" if figures else "nothing yet"
    return Chart(title, unit, summary, bars)


def count_of(count: int, noun: str) -> str:
    """Return a count such as 1 request, or 2 requests."""
    return f"{count:,} {noun}{pluralize(count)}"
