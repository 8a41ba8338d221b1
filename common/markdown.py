"""Markdown as HTML: tables and code, and nothing that a writer could smuggle in as HTML."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from django.utils.translation import get_language, gettext
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

_ENDPOINT = re.compile(r"(GET|POST) (/v1/\S+)")
# Above every section of a page is the page's own name.
_SECTIONS = ("h2", "h3")


@dataclass(frozen=True)
class Section:
    """A part of a text under one heading; the part before the first has no name."""

    anchor: str
    title: str
    words: str


@dataclass(frozen=True)
class Shown:
    """A text as a page shows it, and the same in sections, for a search."""

    html: SafeString
    sections: tuple[Section, ...]


def show(text: str) -> Shown:
    """Turn Markdown into HTML. Tags in the text are shown as text, and scripts are no addresses."""
    return _show(text, get_language())


@lru_cache(maxsize=512)
def _show(text: str, language: str) -> Shown:
    # Buttons and tables in it have words in the reader's language.
    tokens = _PARSER.parse(text)
    html = _PARSER.renderer.render(tokens, _PARSER.options, {})
    # Everything in it went through the parser's escaping.
    return Shown(mark_safe(html), tuple(_cut(tokens)))  # noqa: S308


def _cut(tokens: Sequence[Token]) -> Iterator[Section]:
    anchor = title = ""
    words: list[str] = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        if before is not None and before.type == "heading_open" and before.tag in _SECTIONS:
            yield Section(anchor, title, " ".join(words))
            anchor, title, words = str(before.attrGet("id")), _plain(token), []
        elif token.type in {"inline", "fence"}:
            words.append(_plain(token))
    yield Section(anchor, title, " ".join(words))


def _plain(token: Token) -> str:
    """Return the text of a token without its marks."""
    if token.children is None:
        return token.content
    return "".join(
        " " if child.type == "softbreak" else child.content
        for child in token.children
        if child.type in {"text", "code_inline", "softbreak"}
    )


def _name_headings(state: StateCore) -> None:
    """Give each heading an id of its own, and each endpoint its looks."""
    used: set[str] = set()
    for opening, inline in zip(state.tokens, state.tokens[1:], strict=False):
        if opening.type != "heading_open":
            continue
        anchor = base = slugify(_plain(inline)) or "section"
        number = 1
        while anchor in used:
            number += 1
            anchor = f"{base}-{number}"
        used.add(anchor)
        opening.attrSet("id", anchor)
        if _ENDPOINT.fullmatch(inline.content):
            opening.attrJoin("class", "endpoint")


def _fence(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Show code. After its language its fence has a name, by which tests find it, and a title."""
    token = tokens[index]
    language, _, rest = token.info.strip().partition(" ")
    name, _, title = rest.partition(" ")
    return render_to_string(
        "components/_fence.html",
        {
            "name": name,
            "title": title or language,
            "text": token.content.strip(),
            # Programs that read JSON refuse its comments.
            "is_copyable": language != "jsonc",
        },
    )


def _table_open(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any
) -> str:
    label = escape(gettext("Table"))
    place = f'<div class="table-scroll" role="group" aria-label="{label}" tabindex="0">'
    return f'{place}<table class="table">'


def _table_close(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any
) -> str:
    return "</table></div>\n"


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.core.ruler.push("name_headings", _name_headings)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return parser


_PARSER = _make_parser()
