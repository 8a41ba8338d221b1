"""HTML from template files, with every value escaped unless it is markup already."""

from functools import cache
from html import escape
from pathlib import Path
from string import Template

from starlette.responses import HTMLResponse

_FOLDER = Path(__file__).parent

# No script, nothing from elsewhere. `form-action` is left out: browsers apply it to the redirect
# after a form as well, and that one leads to the shop.
_CSP = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
)


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
    headers = {"Content-Security-Policy": _CSP, "Cache-Control": "no-store"}
    return HTMLResponse(html, status, headers)


def notice(heading: str, text: str, link: str | None, status: int) -> HTMLResponse:
    back = render("_back.html", url=link) if link else ""
    return page(
        heading, render("notice.html", heading=heading, text=text, link=back), status=status
    )


def stylesheet() -> str:
    return (_FOLDER / "style.css").read_text()


@cache
def _template(name: str) -> Template:
    return Template((_FOLDER / name).read_text())


def _safe(value: str | int) -> str:
    return value if isinstance(value, Markup) else escape(str(value))
