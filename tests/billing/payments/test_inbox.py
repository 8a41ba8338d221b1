import pytest

from accounts.models import User
from billing.exceptions import MissingReason
from billing.ledger.inbox import file_item, resolve_item
from billing.models import InboxItem


@pytest.fixture
def item() -> InboxItem:
    return file_item(kind="order_mismatch", reference="order-1", summary="Paid too little")[0]


def test_a_finding_is_filed_once(item: InboxItem) -> None:
    again, is_new = file_item(kind="order_mismatch", reference="order-1", summary="Once more")

    assert (again.pk, is_new) == (item.pk, False)
    assert InboxItem.objects.get().summary == "Paid too little"


def test_the_first_word_on_it_stands(item: InboxItem, alice: User, bob: User) -> None:
    assert resolve_item(item, actor=alice, resolution=" Refunded ")
    assert not resolve_item(item, actor=bob, resolution="Ignored")

    item.refresh_from_db()
    assert (item.resolution, item.resolved_by) == ("Refunded", alice)


def test_it_is_not_closed_without_a_word(item: InboxItem, alice: User) -> None:
    with pytest.raises(MissingReason):
        resolve_item(item, actor=alice, resolution="  ")

    item.refresh_from_db()
    assert item.resolved_at is None
