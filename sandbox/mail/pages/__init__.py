"""HTML from template files, with every value escaped unless it is markup already."""

from functools import cache
from html import escape
from pathlib import Path
from string import Template

from starlette.responses import HTMLResponse

_FOLDER = Path(__file__).parent
# No script and nothing from elsewhere; the frame is this process's own.
_CSP = "default-src 'none'; style-src 'self'; frame-src 'self'; img-src data:; base-uri 'none'"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def render(template: str, **values: str | int) -> Markup:
    """Fill a template of this folder; a placeholder without a value is an error."""
    return Markup(_template(template).substitute({k: _safe(v) for k, v in values.items()}))


def join(parts: list[Markup]) -> Markup:
    return Markup("".join(parts))


def page(title: str, content: Markup, *, status: int = 200) -> HTMLResponse:
    """Return a whole page around its content."""
    html = render("page.html", title=title, content=content)
    return HTMLResponse(
        html, status, {"Content-Security-Policy": _CSP, "Cache-Control": "no-store"}
    )


def stylesheet() -> str:
    return (_FOLDER / "style.css").read_text()


@cache
def _template(name: str) -> Template:
    return Template((_FOLDER / name).read_text())


def _safe(value: str | int) -> str:
    return value if isinstance(value, Markup) else escape(str(value))
