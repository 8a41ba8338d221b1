"""Names keep to `docs/glossary.md`: no name in the product's code has a word of its last column."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GLOSSARY = ROOT / "docs" / "glossary.md"
APPS = ("accounts", "billing", "common", "proxy", "tokenproxy_site")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# Names that have such a word for a reason, by word. `*` is any name of the modules below a path.
ALLOWED: dict[str, dict[str, str]] = {
    "quota": {
        "InsufficientQuota": "OpenAI's name of the error: `insufficient_quota`",
        "proxy/upstreams/*": "a provider's own quota, by which it refuses us",
    },
    "token": {
        "METRICS_TOKEN": "the bearer token of GET /metrics",
        "InvalidToken": "cryptography's name",
        "token_bytes": "Python's name",
        "token_hex": "Python's name",
        "token_urlsafe": "Python's name",
        "default_token_generator": "allauth's name",
        "make_token": "Django's name",
        "AUDIO_CHARS_PER_TOKEN": "of one token that a model counts",
        "TokenLimitExceeded": "of the tokens that a model counts",
        "TokenClass": "of the tokens that a model counts",
        "common/markdown.py": "a piece of Markdown, as its parser calls it",
        "proxy/parsing/*": "a token by its number, which an embedding may be asked for",
        "proxy/upstreams/*": "who holds the probe of a circuit; the proxy's owner renames it",
    },
    "purchase": {
        "PURCHASE": "the kind of the entry that credits an order, and of its mail",
    },
    "backend": {
        "BaseEmailBackend": "Django's name",
        "AuthenticationBackend": "allauth's name",
    },
    "channel": {
        "Channel": "kombu's name",
        "billing/*": "how an order is paid, by Checkout or a saved card; no provider is meant",
    },
    "tell": {"proxy/*": "the proxy's owner renames it"},
    "told": {"proxy/*": "the proxy's owner renames it"},
}


def read_never() -> set[str]:
    """Return the words in code marks of the table's last column."""
    rows = [line for line in GLOSSARY.read_text().splitlines() if line.startswith("| ")]
    return {word for row in rows[1:] for word in re.findall(r"`([a-z_]+)`", row.split("|")[3])}


def find_names(source: str) -> Iterator[str]:
    """Return every name that a module defines, uses or passes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name():
                yield node.id
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Attribute():
                yield node.attr
            case ast.keyword(arg=str(name)):
                yield name


def words_of(name: str) -> list[str]:
    return [word.lower() for word in WORD.findall(name)]


def has_word(name: str, word: str) -> bool:
    """Tell whether these words, such as `journal_entry`, stand in a name one after the other."""
    return f"_{word}_" in f"_{'_'.join(words_of(name))}_"


def is_allowed(word: str, name: str, module: str) -> bool:
    return any(
        module.startswith(each.removesuffix("*")) if "/" in each else name == each
        for each in ALLOWED.get(word, {})
    )


def modules() -> Iterator[tuple[str, str]]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if "/migrations/" not in name:
                yield name, path.read_text()


def test_no_name_has_a_word_that_the_glossary_forbids() -> None:
    never = read_never()

    wrong = {
        f"{module}: {name} ({word})"
        for module, source in modules()
        for name in find_names(source)
        for word in never
        if has_word(name, word) and not is_allowed(word, name, module)
    }

    assert not wrong, "\n".join(sorted(wrong))


def test_every_exception_is_needed() -> None:
    seen = {
        (word, each)
        for module, source in modules()
        for name in find_names(source)
        for word, reasons in ALLOWED.items()
        if has_word(name, word)
        for each in reasons
        if (module.startswith(each.removesuffix("*")) if "/" in each else name == each)
    }

    assert {(word, each) for word in ALLOWED for each in ALLOWED[word]} - seen == set()
    assert set(ALLOWED) <= read_never()


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("tell_refund", "tell"),
        ("is_told", "told"),
        ("_take_turns", "turns"),
        ("PurchaseAdmin", "purchase"),
        ("BillingLog", "billing_log"),
    ],
)
def test_a_word_is_seen_within_a_name(name: str, word: str) -> None:
    assert has_word(name, word)


@pytest.mark.parametrize(("name", "word"), [("prompt_tokens", "token"), ("returned", "turn")])
def test_a_part_of_another_word_is_not(name: str, word: str) -> None:
    assert not has_word(name, word)


def test_pages_and_messages_count_balances_in_credits() -> None:
    """An amount that is shown by the filter of credits, or with commas, is no number of tokens."""
    shown = re.compile(r"\|credits \}\}(?:</\w+>)* tokens|_?credits:,\} tokens")
    files = [
        path
        for folder, ending in (("templates", "*.html"), ("templates", "*.txt"), ("billing", "*.py"))
        for path in (ROOT / folder).rglob(ending)
    ]

    wrong = [str(path.relative_to(ROOT)) for path in files if shown.search(path.read_text())]

    assert wrong == []
