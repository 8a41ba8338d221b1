"""The mailbox: mail in by SMTP, out on a page that runs nothing of it."""

import re
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from devstack.ports import free_port
from sandbox.mail.app import build_app
from sandbox.mail.mailbox import MOST_KEPT, Mailbox

HTML = '<html><head></head><body><script>alert(1)</script><a href="https://x.example/">x</a></body>'


class Post:
    """Sends mail to the sandbox and opens its pages."""

    def __init__(self, pages: TestClient, smtp_port: int) -> None:
        self.pages = pages
        self.smtp_port = smtp_port

    def send(self, *, subject: str = "Hello", text: str = "Hi.", html: str = HTML) -> str:
        message = EmailMessage()
        message["From"] = "Shop <shop@example.com>"
        message["To"] = "alice@example.com"
        message["Subject"] = subject
        message.set_content(text)
        message.add_alternative(html, subtype="html")
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=10) as server:
            server.send_message(message)
        mail_id: str = self.pages.get("/messages.json").json()[0]["id"]
        return mail_id


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    port = free_port()
    app = build_app(tmp_path / "mail", smtp_host="127.0.0.1", smtp_port=port)
    with TestClient(app, base_url="http://127.0.0.1") as pages:
        yield Post(pages, port)


def test_a_mail_is_on_the_list(post: Post) -> None:
    post.send(subject="Ihre Quittung: 5 € <b>")

    page = post.pages.get("/").text

    assert "Ihre Quittung: 5 € &lt;b&gt;" in page
    assert "alice@example.com" in page


def test_it_shows_the_text_with_its_links(post: Post) -> None:
    mail_id = post.send(text="Verify: https://shop.example/confirm/abc. Thanks <3")

    page = post.pages.get(f"/messages/{mail_id}").text

    assert '<a href="https://shop.example/confirm/abc" target="_blank"' in page
    assert "Thanks &lt;3" in page


def test_the_html_of_a_mail_can_run_nothing(post: Post) -> None:
    mail_id = post.send()

    page = post.pages.get(f"/messages/{mail_id}")
    html = post.pages.get(f"/messages/{mail_id}/html")

    assert "<script>" not in page.text
    frame = re.search(r"<iframe[^>]*>", page.text)
    assert frame is not None
    assert "allow-scripts" not in frame[0]
    assert html.headers["Content-Security-Policy"].startswith("sandbox allow-popups")
    assert "default-src 'none'" in html.headers["Content-Security-Policy"]
    assert "allow-scripts" not in html.headers["Content-Security-Policy"]


def test_programs_read_it_as_json(post: Post) -> None:
    post.send(subject="One")
    post.send(subject="Two", text="Second")

    found = post.pages.get("/messages.json").json()

    assert [mail["subject"] for mail in found] == ["Two", "One"]
    assert (found[0]["to"], found[0]["text"].strip()) == ("alice@example.com", "Second")


def test_it_forgets_on_demand(post: Post) -> None:
    post.send()

    page = post.pages.post("/clear").text

    assert "No mail yet" in page


@pytest.mark.parametrize("path", ["/messages/1", "/messages/..%2f..%2fetc", "/messages/1/html"])
def test_what_is_not_there_is_404(post: Post, path: str) -> None:
    assert post.pages.get(path).status_code == 404


def test_the_newest_are_kept_over_a_restart(tmp_path: Path) -> None:
    before = Mailbox(tmp_path)
    for number in range(MOST_KEPT + 3):
        before.add(
            f"Subject: {number}\r\n\r\nx".encode(), recipients=["a@b.example"], now_ns=number
        )

    subjects = [mail.subject for mail in Mailbox(tmp_path).read_all()]

    assert len(subjects) == MOST_KEPT
    assert subjects[0] == str(MOST_KEPT + 2)
