"""Mails at the desk."""

from django.test import Client

from billing.models import Notice
from tests import desk


def make_notice(alice: desk.Buyer, **fields: object) -> Notice:
    return Notice.objects.create(
        user=alice.user, kind="new_key", reference="key:1", facts={"name": "Laptop"}, **fields
    )


def test_a_failure_is_seen_with_its_error(root: Client, alice: desk.Buyer) -> None:
    notice = make_notice(alice, error="SMTPServerDisconnected: gone", attempts=3)

    listed = root.get(f"{desk.list_url(Notice)}?progress=failing").content.decode()
    page = root.get(desk.page_url(notice)).content.decode()
    index = root.get("/admin/").content.decode()

    assert "failing" in listed
    assert "SMTPServerDisconnected: gone" in page
    assert "Mails failing" in index


def test_it_is_sent_again_on_demand(root: Client, alice: desk.Buyer) -> None:
    notice = make_notice(alice, error="gone", attempts=12, given_up_at=desk.just_now())

    root.post(desk.do_url("send-again", notice), {"reason": "the server is back"})

    notice.refresh_from_db()
    assert (notice.given_up_at, notice.attempts, notice.error) == (None, 0, "")
    assert "the server is back" in desk.said()


def test_who_may_not_change_mails_may_not_send_them(db: None, alice: desk.Buyer) -> None:
    notice = make_notice(alice, given_up_at=desk.just_now())
    clerk = desk.make_staff("clerk@example.com", "billing.view_notice")

    answer = clerk.post(desk.do_url("send-again", notice), {"reason": "please"})

    assert answer.status_code == 403
    notice.refresh_from_db()
    assert notice.given_up_at is not None
