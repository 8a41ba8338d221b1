"""What is kept as JSON is read as words on every page of the desk."""

import re

import pytest
from django.test import Client

from accounts.desk.roles import make_roles
from tests import desk
from tests.desk_rows import Full, make_everything

# Where JSON may be: behind a summary, in a field that is edited or its example, and for scripts.
ASIDE = re.compile(r'<(details|textarea|script)\b.*?</\1>|<div class="help".*?</div>', re.DOTALL)
TAG = re.compile(r"<[^>]*>")
JSON = re.compile(r"[\[{](?:&quot;|&#x27;|&#39;)|\{\s*[\"']\w")


@pytest.fixture
def full(db: None, redis_wallets: object) -> Full:
    make_roles()
    return make_everything()


def read(browser: Client, url: str) -> str:
    """Return what a page shows, without what is only opened or edited."""
    text = browser.get(url).content.decode()
    return ASIDE.sub("", text[text.index('id="content"') :])


def test_no_page_and_no_list_shows_json(root: Client, full: Full) -> None:
    shown = {
        url: found[0]
        for row in full.rows.values()
        for url in (desk.page_url(row), desk.list_url(type(row)), desk.page_url(row, "history"))
        if (found := JSON.search(TAG.sub(" ", read(root, url))))
    }

    assert shown == {}


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("accounts.teamevent", "monthly cap credits: – → 5,000"),
        ("billing.inboxitem", "<dt>paid, amount cents</dt><dd>$8.00</dd>"),
        ("billing.notice", "<dt>refunds 1, amount cents</dt><dd>$5.00</dd>"),
        ("billing.notice", "<dt>keys</dt><dd>a, b</dd>"),
        ("billing.topuppayment", "<dt>amount</dt><dd>900</dd>"),
        ("billing.approval", "credits: 7"),
    ],
)
def test_what_was_kept_is_told(page: str, words: str, root: Client, full: Full) -> None:
    assert words in read(root, desk.page_url(full.rows[page]))


def test_an_audit_line_tells_each_change(root: Client, full: Full) -> None:
    root.post(desk.do_url("freeze", full.buyer.wallet), {"reason": "Stolen card"})

    shown = read(root, desk.page_url(desk.last_record()))

    assert "<dt>state</dt><dd>Active → Frozen</dd>" in shown
    assert "Stolen card" in shown


def test_a_message_that_begins_with_a_name_stays_as_it_is(root: Client, full: Full) -> None:
    url = desk.do_url("pause", full.rows["proxy.provider"])

    answer = root.post(url, {"reason": "It fails"}, follow=True)

    assert "spare: No new request goes there." in answer.content.decode()


def test_instants_have_seconds(root: Client, full: Full) -> None:
    for row in (full.buyer.record, full.buyer.order):
        assert "2 Mar 2026, 12:00:0" in read(root, desk.page_url(row))
    assert "2 Mar 2026, 12:00:01" in read(root, desk.page_url(full.buyer.wallet))
