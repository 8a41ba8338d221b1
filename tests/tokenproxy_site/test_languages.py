"""Pages come in their reader's language; the desk and the API speak English."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from django.conf import settings as site_settings
from django.test import Client
from django.utils import timezone, translation
from pytest_django import Settings

from accounts.languages import keep_language
from accounts.legal import publish
from accounts.models import LegalText, User
from billing.models import Notice, Pack
from billing.notices.composing import compose
from common import money
from proxy.models import Incident, IncidentUpdate
from tests.conftest import signed_in
from tokenproxy_site import catalogues
from tokenproxy_site.docs.pages import PAGES
from tokenproxy_site.extraction import find_messages, updated

SWITCH = "/language/"


@pytest.mark.parametrize(
    ("asked", "language"),
    [("de-AT,de;q=0.9,en;q=0.8", "de"), ("fr", "en"), ("", "en"), ("en-US,de;q=0.5", "en")],
)
def test_a_visitor_reads_what_the_browser_asks_for(db: None, asked: str, language: str) -> None:
    answer = Client(headers={"accept-language": asked}).get("/packs/")

    assert f'<html lang="{language}">' in answer.content.decode()
    assert answer.headers["Content-Language"] == language
    assert {"Accept-Language", "Cookie"} <= set(answer.headers["Vary"].split(", "))


def test_the_switch_is_kept_and_leads_back_to_the_page(client: Client, db: None) -> None:
    answer = client.post(SWITCH, {"language": "de", "next": "/packs/?model=gpt-4"})

    assert answer.headers["Location"] == "/packs/?model=gpt-4"
    cookie = answer.cookies[site_settings.LANGUAGE_COOKIE_NAME]
    assert cookie["samesite"] == "Lax"
    assert '<html lang="de">' in client.get("/packs/").content.decode()


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""]
)
def test_the_switch_leads_to_no_other_site(client: Client, db: None, elsewhere: str) -> None:
    answer = client.post(SWITCH, {"language": "de", "next": elsewhere})

    assert answer.headers["Location"] == "/"


def test_a_language_that_is_not_offered_changes_nothing(alice: User) -> None:
    client = signed_in(alice)

    answer = client.post(SWITCH, {"language": "xx", "next": "/packs/"})

    alice.refresh_from_db()
    assert alice.language == ""
    assert site_settings.LANGUAGE_COOKIE_NAME not in answer.cookies


def test_a_choice_goes_with_the_person_to_another_browser(alice: User) -> None:
    signed_in(alice).post(SWITCH, {"language": "de", "next": "/"})

    page = signed_in(alice).get("/dashboard/", headers={"accept-language": "en"})

    assert '<html lang="de">' in page.content.decode()


def test_the_profile_keeps_a_language_or_leaves_it_to_the_browser(alice: User) -> None:
    client = signed_in(alice)

    client.post("/dashboard/settings/profile/", {"language": "de", "time_zone": ""})
    chosen = User.objects.get(pk=alice.pk).language
    client.post("/dashboard/settings/profile/", {"language": "", "time_zone": ""})

    assert chosen == "de"
    assert User.objects.get(pk=alice.pk).language == ""


def test_the_desk_speaks_english_to_everybody(admin_client: Client, admin_user: User) -> None:
    User.objects.filter(pk=admin_user.pk).update(language="de")

    page = admin_client.get("/admin/", headers={"accept-language": "de"})

    assert '<html lang="en"' in page.content.decode()
    assert "Abmelden" not in page.content.decode()


@pytest.mark.parametrize(
    ("text", "english", "german"),
    [
        (lambda: money.credits(-1_234_567), "−1,234,567", "−1.234.567"),
        (lambda: money.compact(1_299_999), "1.2M", "1,2\xa0Mio."),
        (lambda: money.brief(1_600_000), "1.6 million", "1,6\xa0Millionen"),
        (lambda: money.brief(1_000_000), "1 million", "1\xa0Million"),
        (lambda: money.price(123_456, "eur"), "€1,234.56", "1.234,56\xa0€"),
        (lambda: money.price(900, "chf"), "CHF 9.00", "9,00\xa0CHF"),
        (lambda: money.amount(-9_000_000, "usd"), "−$9.00", "−9,00\xa0$"),
        (lambda: money.rate(75), "0.075", "0,075"),
        (lambda: money.percent(67), "67%", "67\xa0%"),
    ],
)
def test_figures_are_written_as_the_reader_does(text: object, english: str, german: str) -> None:
    assert callable(text)
    assert text() == english
    with translation.override("de"):
        assert text() == german


def test_a_changed_catalogue_is_made_anew_when_a_process_starts(
    tmp_path: Path, settings: Settings
) -> None:
    source = tmp_path / "de" / "LC_MESSAGES" / "django.po"
    source.parent.mkdir(parents=True)
    settings.LOCALE_PATHS = [tmp_path]
    words = (
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "a"\nmsgstr "{}"\n'
    )
    source.write_text(words.format("eins"))
    catalogues.refresh()
    first = source.with_suffix(".mo").read_bytes()
    stamp = source.stat()

    source.write_text(words.format("zwei"))
    # As old as it was: a checkout or an image may set any time.
    os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    catalogues.refresh()

    assert b"eins" in first
    assert b"zwei" in source.with_suffix(".mo").read_bytes()


def test_the_search_for_messages_reads_python_and_templates() -> None:
    found = find_messages()

    assert "Time zone" in found
    assert "Language" in found


CATALOGUE = site_settings.BASE_DIR / "locale" / "de" / "LC_MESSAGES" / "django.po"
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w*\}|%%")


def entries() -> list[Message]:
    with CATALOGUE.open("rb") as file:
        return [each for each in read_po(file) if each.id]


def both(words: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [words or ""] if isinstance(words, str | None) else list(words)


def test_nothing_is_left_to_translate() -> None:
    missing = [each.id for each in entries() if not all(both(each.string)) or each.fuzzy]

    assert missing == []


def test_the_catalogue_has_what_the_source_has_and_nothing_else() -> None:
    # If this fails, run `make messages` and write the German of what is new.
    assert updated(CATALOGUE) == CATALOGUE.read_text()


def test_a_translation_has_the_placeholders_of_its_source() -> None:
    different = [
        each.id
        for each in entries()
        for source, german in zip(both(each.id), both(each.string), strict=True)
        if set(PLACEHOLDER.findall(source)) != set(PLACEHOLDER.findall(german))
    ]

    assert different == []


@pytest.mark.parametrize("words", ["Your balance", "Log in", "Sign up", "API keys"])
def test_a_mail_is_in_the_language_of_its_reader(alice: User, words: str) -> None:
    keep_language(alice, "de")
    notice = Notice.objects.create(
        user=alice, kind=Notice.Kind.LOW_BALANCE, reference="x", facts={"threshold_credits": 1_000}
    )

    mail = compose(notice)

    assert mail.subject == "Ihr Guthaben liegt unter 1.000 Credits"
    assert words not in str(mail.body)


# Names and code, which are the same in every language.
SAME = re.compile(
    r"[\W\d_]*|.*@.*|.*https?:.*|[A-Z]{2,}|OpenAI.*|.*\b(gpt|YOUR_API_KEY)\b.*|[\w/.-]+[/_][\w/.-]*"
    r"|(404|Status|Teams?|Playground|Completions|Embeddings|Responses|Streaming) · TokenProxy"
    r"|Webhooks · TokenProxy"
    r"|\w+ \d{4}|[X-]+"
    r"|(GET|POST) /v1/.*|(: )?[a-z]+[._][a-z_., ]+"
    # What was agreed to is kept in the words that were agreed to.
    r"|I allow .*"
)
ALIKE = {
    "API", "Admin", "Browser", "Code", "Credits", "Dashboard", "Deutsch", "English", "JSON",
    "Markdown", "Name", "Node.js", "Playground", "Prompt", "Python", "Status", "Support", "System",
    "Team", "Teams", "Test", "TokenProxy", "UTC", "curl", "credits", "ms", "Stripe", "Alice",
    "Limits", "Person", "ChatKit", "Completions", "Embeddings", "Header", "Idempotency-Key.",
    "JavaScript (Node.js)", "Responses", "Shell", "Streaming", "responses", "404 Not Found",
    "Webhooks", "← Webhooks", "Slack", "Standard Webhooks", "json", "python",
}  # fmt: skip
PUBLIC = ("/", "/packs/", "/models/", "/status/", "/legal/", "/accounts/login/",
    "/accounts/signup/", "/accounts/password/reset/", "/no-such-page/",
    # Recipes are names of programs and of their settings.
    *(page.path for page in PAGES if page.slug != "recipes"))  # fmt: skip
OWN = (
    "/dashboard/", "/dashboard/keys/", "/dashboard/usage/", "/dashboard/orders/",
    "/dashboard/statements/", "/dashboard/team/", "/dashboard/team/new/", "/dashboard/team/events/",
    "/dashboard/team/invitations/", "/dashboard/redeem/", "/dashboard/top-up/",
    "/dashboard/playground/", "/dashboard/settings/profile/", "/dashboard/settings/data/",
    "/dashboard/settings/webhooks/", "/dashboard/settings/webhooks/new/",
    "/dashboard/settings/notifications/", "/dashboard/settings/delete/", "/accounts/email/",
    "/accounts/2fa/", "/accounts/sessions/", "/accounts/password/change/",
)  # fmt: skip


class Texts(HTMLParser):
    """Collects what a reader of a page sees, and what is read out to them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "style", "code", "pre", "bdi", "select", "time"}:
            self._hidden.append(tag)
        given = dict(attrs)
        self.found |= {
            words for name in ("aria-label", "title", "placeholder", "alt")
            if tag != "time" and (words := given.get(name))
        }  # fmt: skip

    def handle_endtag(self, tag: str) -> None:
        if self._hidden and self._hidden[-1] == tag:
            self._hidden.pop()

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.found.add(" ".join(data.split()))


def texts_of(client: Client, path: str, language: str) -> set[str]:
    client.cookies[site_settings.LANGUAGE_COOKIE_NAME] = language
    parser = Texts()
    parser.feed(client.get(path).content.decode())
    return parser.found


@pytest.mark.parametrize("path", [*PUBLIC, *OWN])
def test_a_german_page_has_no_english_left(alice: User, path: str) -> None:
    client = signed_in(alice) if path in OWN else Client()

    both_have = texts_of(client, path, "de") & texts_of(client, path, "en")

    assert sorted(t for t in both_have - ALIKE if not SAME.fullmatch(t)) == []


def test_what_staff_wrote_in_german_too_is_read_in_german_and_the_rest_is_marked(
    db: None,
) -> None:
    publish(LegalText.objects.create(kind="terms", text="Our terms.", text_de="Unsere AGB."))
    publish(LegalText.objects.create(kind="privacy", text="What we keep."))
    trouble = Incident.objects.create(title="Slow", title_de="Langsam", impact="slow")
    IncidentUpdate.objects.create(incident=trouble, state="looking", text="Hm.", text_de="Nanu.")
    Pack.objects.create(
        name="Small", slug="small", credits=1_000_000, price_cents=500,
        description="For <all>.", description_de="Für <alle>.",
    )  # fmt: skip

    german, english = (
        {
            path: Client(headers={"accept-language": language}).get(path).content.decode()
            for path in ("/terms/", "/privacy/", "/status/", "/packs/")
        }
        for language in ("de", "en")
    )

    assert "Unsere AGB." in german["/terms/"]
    assert "Our terms." not in german["/terms/"]
    assert "Our terms." in english["/terms/"]
    assert '<div class="docs-body docs-text" lang="en">' in german["/privacy/"]
    assert '<div class="docs-body docs-text" lang="de">' in german["/terms/"]
    assert '<h3 lang="de">Langsam</h3>' in german["/status/"]
    assert "Nanu." in german["/status/"]
    assert '<h3 lang="en">Slow</h3>' in english["/status/"]
    assert 'lang="de">Für &lt;alle&gt;.</p>' in german["/packs/"]
    assert 'lang="en">For &lt;all&gt;.</p>' in english["/packs/"]


@pytest.mark.parametrize("path", ["statements/{month}.csv", "team/events.csv"])
def test_a_file_for_programs_is_in_english_for_everybody(alice: User, path: str) -> None:
    files = []
    for language in ("en", "de"):
        keep_language(alice, language)
        answer = signed_in(alice).get(f"/dashboard/{path}".format(month=f"{timezone.now():%Y-%m}"))
        files.append(answer.getvalue())

    assert files[0].count(b"\n") >= 1
    assert files[0] == files[1]


def test_somebody_without_an_account_gets_the_mail_in_the_language_of_the_page(db: None) -> None:
    Client(headers={"accept-language": "de"}).post(
        "/accounts/password/reset/", {"email": "nobody@example.com"}
    )

    mail = compose(Notice.objects.get(kind=Notice.Kind.NO_ACCOUNT))

    assert mail.subject == "Zu dieser Adresse gibt es kein Konto"


def test_what_a_view_tells_its_reader_is_marked_for_translation() -> None:
    root = Path(__file__).parents[2]
    views = [*(root / "billing" / "views").glob("*.py"), root / "accounts" / "views.py"]
    plain = re.compile(r'messages\.\w+\(\s*\w+,\s*f?"')

    assert [view.name for view in views if plain.search(view.read_text())] == []
