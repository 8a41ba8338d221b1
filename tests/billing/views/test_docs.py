"""The documentation. That its examples run is tested against the running product."""

import html
import re
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

EXAMPLE = re.compile(r'<pre[^>]*><code data-example="([^"]+)">(.*?)</code></pre>', re.DOTALL)
ROW = re.compile(r"<td>(\d{3})</td>\s*<td>([^<]+)</td>")


@pytest.fixture
def documentation(as_charlie: Client, settings: Settings) -> str:
    settings.SITE_URL = "https://tokens.example.com"
    return as_charlie.get("/docs/").content.decode()


@pytest.fixture
def examples(documentation: str) -> dict[str, str]:
    return {name: html.unescape(text) for name, text in EXAMPLE.findall(documentation)}


@pytest.mark.parametrize("name", ["curl-quickstart", "curl-models", "python", "node"])
def test_it_prints_each_example_with_this_sites_address(
    examples: dict[str, str], name: str
) -> None:
    assert "https://tokens.example.com/v1/" in examples[name]
    assert "YOUR_API_KEY" in examples[name]
    assert "{{" not in examples[name]


def test_it_prints_each_example_once(documentation: str) -> None:
    names = [name for name, _ in EXAMPLE.findall(documentation)]

    assert len(names) == len(set(names))


def test_its_python_examples_are_python(examples: dict[str, str]) -> None:
    for name in ("python", "openai-python", "openai-stream"):
        compile(examples[name], name, "exec")


def test_it_has_the_table_of_status_codes(documentation: str) -> None:
    table = documentation.split('data-table="status-codes"')[1].split("</table>", maxsplit=1)[0]

    assert ROW.findall(table) == [
        ("200", "Success"),
        ("400", "Bad Request - Invalid parameters"),
        ("401", "Unauthorized - Invalid API key"),
        ("429", "Rate limit exceeded"),
        ("500", "Server error - Try again later"),
    ]


def test_it_names_the_limit_that_is_set(as_charlie: Client, settings: Settings) -> None:
    settings.DEFAULT_REQUESTS_PER_MINUTE = 123

    page = as_charlie.get("/docs/").content.decode()

    assert "123 requests per minute" in page


def test_its_contents_lead_to_sections_that_exist(documentation: str) -> None:
    contents = documentation.split('class="docs-nav"')[1].split("</nav>", maxsplit=1)[0]
    linked = re.findall(r'href="#([^"]+)"', contents)

    assert len(linked) == len(set(linked)) > 15
    assert all(f'id="{anchor}"' in documentation for anchor in linked)


def test_no_example_is_without_a_page() -> None:
    folder = Path("templates")
    files = {path.stem for path in (folder / "examples").glob("*.txt")}
    used = " ".join(path.read_text() for path in folder.rglob("*.html"))

    assert files
    assert all(f'example="{name}"' in used for name in files)
