"""The documentation. That its examples run is tested against the running product."""

import html
import re
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings as site_settings
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from common.markdown import show
from tests.conftest import signed_in
from tokenproxy_site.docs.pages import FIRST, PAGES, Page

EXAMPLE = re.compile(r'<pre[^>]*><code data-example="([^"]+)">(.*?)</code></pre>', re.DOTALL)
ROW = re.compile(r"<td>(\d{3})</td>\s*<td>([^<]+)</td>")
SITE = "https://tokens.example.com"
# The sections of the one page that the documentation was.
FORMER = [
    "quick-start",
    "authentication",
    "errors",
    "examples",
    "chat-completions",
    "streaming",
    "fields",
    "models",
    "other-endpoints",
    "balance",
    "receipts",
    "key",
    "not-offered",
    "openai-sdk",
    "charging",
    "retries",
    "endings",
    "payments",
    "refunds",
    "teams",
    "rate-limits",
    "headers",
]

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(settings: Settings) -> None:
    settings.SITE_URL = SITE


def read(client: Client, page: Page) -> str:
    answer = client.get(page.path)
    assert answer.status_code == 200
    return answer.content.decode()


def examples_of(text: str) -> dict[str, str]:
    return {name: html.unescape(example) for name, example in EXAMPLE.findall(text)}


@pytest.mark.usefixtures("site")
def test_its_first_page_has_the_owners_examples_with_this_sites_address(client: Client) -> None:
    examples = examples_of(read(client, FIRST))

    for name in ("curl-quickstart", "curl-models", "python", "node"):
        assert f"{SITE}/v1/" in examples[name]
        assert "YOUR_API_KEY" in examples[name]
        assert "{{" not in examples[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_has_its_title_its_neighbours_and_each_example_once(
    page: Page, client: Client
) -> None:
    text = read(client, page)
    names = [name for name, _ in EXAMPLE.findall(text)]

    assert len(names) == len(set(names))
    assert text.count("<h1") == 1
    assert f"<h1>{page.title}</h1>" in text
    assert 'aria-current="page"' in text.split('id="contents"')[1]
    place = PAGES.index(page)
    for neighbour in PAGES[max(0, place - 1) : place + 2]:
        assert f'href="{neighbour.path}"' in text.split('class="docs-pager"')[1] or (
            neighbour is page
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_a_page_is_markdown_too_with_links_that_work_anywhere(
    page: Page, client: Client, site: None
) -> None:
    answer = client.get(page.markdown_path)

    text = answer.content.decode()
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert text.startswith(f"# {page.title}\n")
    assert "](/" not in text
    assert "{%" not in text
    assert all(" " not in fence for fence in re.findall(r"^```(.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("language", ["en", "de"])
def test_its_links_lead_to_pages_and_sections_that_exist(client: Client, language: str) -> None:
    client.cookies[site_settings.LANGUAGE_COOKIE_NAME] = language
    pages = {page.path: read(client, page) for page in PAGES}
    broken = []
    for path, text in pages.items():
        body = text.split('class="docs-body"')[1].split("</article>")[0]
        for link in re.findall(r'href="([^"]+)"', body):
            to, _, anchor = link.partition("#")
            if to.startswith("/docs/") and not to.endswith(".md"):
                is_there = (to or path) in pages and (
                    not anchor or f'id="{anchor}"' in pages[to or path]
                )
                broken += [] if is_there else [(path, link)]

    assert broken == []


# What a translation may not change: code, figures of the site, what a template does.
BONES = re.compile(
    r"""{% example ("[^"]+" "[^"]+")|({% (?:for|if|url) [^%]*%})|({{[^}]*}})|(`[^`]+`)"""
    r"""|^(\| --- .*|#+ (?=\S)|\* |\d\. )|(^#+ (?:GET|POST) .*)""",
    re.MULTILINE,
)


def bones(page: Page, language: str) -> Counter[tuple[str, ...]]:
    text = Path(f"templates/docs/pages/{language}/{page.slug}.md").read_text()
    return Counter(BONES.findall(text)) + Counter(
        [("rows", str(text.count("\n| "))), ("paragraphs", str(text.count("\n\n")))]
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.slug)
def test_the_german_says_of_the_same_code_what_the_english_says(page: Page) -> None:
    assert bones(page, "de") == bones(page, "en")


def test_a_reader_of_german_reads_and_searches_german(client: Client) -> None:
    client.cookies[site_settings.LANGUAGE_COOKIE_NAME] = "de"

    page = client.get("/docs/charging/").content.decode()
    source = client.get("/docs/charging.md").content.decode()
    found = client.get("/docs/search/", {"q": "Reservierung abgebucht"}).content.decode()

    assert "<h1>So wird abgerechnet</h1>" in page
    assert "Ihr Guthaben ist vorausbezahlt." in page
    assert source.startswith("# So wird abgerechnet\n")
    assert 'href="/docs/charging/' in found


def test_the_words_on_a_shown_text_are_its_readers_whoever_read_it_first(client: Client) -> None:
    text = "```bash\ncurl\n```"
    english = show(text).html

    with translation.override("de"):
        german = show(text).html

    assert "Copy" in english
    assert "Kopieren" in german


@pytest.mark.parametrize("path", ["/llms.txt", "/llms-full.txt"])
def test_what_programs_read_is_english_whoever_sends_them(client: Client, path: str) -> None:
    german = client.get(path, headers={"accept-language": "de"})

    assert german.content == client.get(path).content
    assert "How you are charged" in german.content.decode()


def test_links_to_the_former_page_still_find_their_section(client: Client) -> None:
    text = read(client, FIRST)
    entries = text.split('class="docs-moved"')[1].split("<li>")[1:]
    moved = {
        anchor: re.findall(r'<a href="([^"]+)"', entry)[0]
        for entry in entries
        for anchor in re.findall(r'<span id="([^"]+)"', entry)
    }

    assert [name for name in FORMER if text.count(f'id="{name}"') != 1] == []
    assert moved["endings"] == "/docs/endings/"
    assert moved["retries"] == "/docs/idempotency/"


def test_its_python_examples_are_python() -> None:
    for path in Path("templates/examples").glob("*.txt"):
        if path.stem in {"python", "openai-python", "openai-stream"}:
            compile(path.read_text(), path.name, "exec")


def test_it_has_the_table_of_status_codes(client: Client) -> None:
    text = read(client, FIRST)

    assert ROW.findall(text.split('id="error-handling"')[1]) == [
        ("200", "Success"),
        ("400", "Bad Request - Invalid parameters"),
        ("401", "Unauthorized - Invalid API key"),
        ("429", "Rate limit exceeded"),
        ("500", "Server error - Try again later"),
    ]


def test_it_names_the_limit_that_is_set(client: Client, settings: Settings) -> None:
    settings.DEFAULT_REQUESTS_PER_MINUTE = 123

    assert "123 requests per minute" in client.get("/docs/limits/").content.decode()


def test_json_with_comments_can_not_be_copied(client: Client) -> None:
    blocks = read(client, FIRST).split('<div class="code">')
    body = next(block for block in blocks if 'data-example="request-body"' in block)
    plain = next(block for block in blocks if 'data-example="curl-models"' in block)

    assert "// required" in body
    assert "copy" not in body.split("</pre>")[0]
    assert "copy" in plain.split("</pre>")[0]


def test_it_shows_a_reader_which_key_is_theirs_and_nobody_elses(alice: User, bob: User) -> None:
    key, secret = issue_api_key(own_seat(alice), name="Production")

    mine = signed_in(alice).get("/docs/streaming/").content.decode()
    theirs = signed_in(bob).get("/docs/streaming/").content.decode()

    assert key.hint in mine
    assert secret not in mine
    assert key.hint not in theirs


def test_a_search_finds_the_section_that_has_every_word(client: Client) -> None:
    text = client.get("/docs/search/", {"q": "  Insufficient_quota   balance "}).content.decode()

    assert 'href="/docs/errors/' in text
    assert "<mark>insufficient_quota</mark>" in text


@pytest.mark.parametrize("query", ["", "zyzzyva", "<script>alert(1)</script>", "((", "\\q"])
def test_a_search_that_finds_nothing_says_so(query: str, client: Client) -> None:
    answer = client.get("/docs/search/", {"q": query})

    assert answer.status_code == 200
    assert "<script>alert" not in answer.content.decode()
    assert "<mark>" not in answer.content.decode()


def test_a_search_for_too_much_is_refused(client: Client) -> None:
    answer = client.get("/docs/search/", {"q": "x" * 81})

    assert answer.status_code == 400
    assert "80 characters at most" in answer.content.decode()


@pytest.mark.usefixtures("site")
def test_language_models_get_a_list_of_pages_and_all_of_them_in_one(client: Client) -> None:
    listed = client.get("/llms.txt").content.decode()
    whole = client.get("/llms-full.txt").content.decode()

    for page in PAGES:
        assert f"({SITE}{page.markdown_path})" in listed
        assert f"# {page.title}\n" in whole


def test_a_page_that_does_not_exist_is_not_found(client: Client) -> None:
    for path in ("/docs/no-such-page/", "/docs/no-such-page.md"):
        assert client.get(path).status_code == 404


def test_no_example_is_without_a_page() -> None:
    folder = Path("templates")
    files = {path.stem for path in (folder / "examples").glob("*.txt")}
    used = " ".join(
        path.read_text() for kind in ("html", "md") for path in folder.rglob(f"*.{kind}")
    )

    assert files
    assert [
        name for name in files if f'example="{name}"' not in used and f'"{name}"' not in used
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "<img src=x onerror=alert(1)>",
        '[x](https://example.com "a\\" onclick=alert(1)")',
        '```html a" onload="alert(1)\n<script>alert(1)</script>\n```',
        "![x](https://example.com/x.png)",
    ],
)
def test_markdown_brings_no_html_of_its_own(text: str) -> None:
    shown = show(text).html

    tags = set(re.findall(r"<\s*([a-z0-9]+)", shown))
    assert tags.isdisjoint({"script", "img"})
    assert not re.search(r"<[^>]*\s(onerror|onclick|onload)=", re.sub(r'"[^"]*"', '""', shown))
    assert 'href="javascript' not in shown


def test_headings_of_one_name_have_anchors_of_their_own() -> None:
    shown = show("## Same\n\none\n\n## Same\n\ntwo")

    assert [section.anchor for section in shown.sections] == ["", "same", "same-2"]
    assert [section.words for section in shown.sections] == ["", "one", "two"]
