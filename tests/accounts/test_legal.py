"""Legal texts: drafts are staff's, versions stay, and nobody agrees to what they did not see."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.legal import (
    TextsChanged,
    check_agreement,
    keep_agreement,
    mark_of,
    publish,
    texts_in_force,
    texts_to_agree,
)
from accounts.models import Agreement, LegalText, User
from tests import desk
from tests.accounts.sign_up import PASSWORD
from tests.racing import race

SIGN_UP = "/accounts/signup/"


def draft(kind: str = "terms", text: str = "## Who we are\n\nAcme.") -> LegalText:
    return LegalText.objects.create(kind=kind, text=text)


@pytest.fixture
def terms(db: None) -> LegalText:
    return publish(draft())


def sign_up(**fields: Any) -> Any:
    given = {"email": "dora@example.com", "password1": PASSWORD, **fields}
    return Client().post(SIGN_UP, given)


def has_account() -> bool:
    return User.objects.filter(email="dora@example.com").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("kind", LegalText.Kind.values)
def test_a_draft_is_nobodys_and_a_version_is_everybodys(kind: str) -> None:
    text = draft(kind)
    assert Client().get(f"/{kind}/").status_code == 404
    assert f'"/{kind}/"' not in Client().get("/legal/").content.decode()

    publish(text)

    page = Client().get(f"/{kind}/").content.decode()
    assert '<h2 id="who-we-are">Who we are</h2>' in page
    assert "Version 1" in page
    assert f'"/{kind}/"' in Client().get("/legal/").content.decode()


@pytest.mark.django_db
def test_a_text_brings_no_html_of_its_own() -> None:
    publish(draft(text="<script>alert(1)</script>\n\n[x](javascript:alert(1))"))

    page = Client().get("/terms/").content.decode()

    assert "&lt;script&gt;" in page
    assert 'href="javascript' not in page


def test_the_newest_version_is_in_force_and_earlier_ones_can_be_read(terms: LegalText) -> None:
    second = publish(draft(text="New words."))

    assert [each.pk for each in texts_in_force()] == [second.pk]
    assert "New words." in Client().get("/terms/").content.decode()
    earlier = Client().get("/terms/1/").content.decode()
    assert "Acme." in earlier
    assert "An earlier version" in earlier
    for number in ("0", "3", "9" * 30):
        assert Client().get(f"/terms/{number}/").status_code == 404


def test_a_published_version_stays_as_it_is(terms: LegalText) -> None:
    for change in (
        lambda: LegalText.objects.filter(pk=terms.pk).update(text="Altered."),
        lambda: LegalText.objects.filter(pk=terms.pk).delete(),
    ):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            change()


@pytest.mark.django_db(transaction=True)
def test_drafts_published_at_once_get_numbers_of_their_own() -> None:
    drafts = [draft() for _ in range(4)]

    race([lambda each=each: publish(each) for each in drafts])  # type: ignore[misc]

    versions = LegalText.objects.order_by("version").values_list("version", flat=True)
    assert list(versions) == [1, 2, 3, 4]


@pytest.mark.django_db
def test_before_anything_is_published_nobody_has_to_agree() -> None:
    draft()
    publish(draft("imprint"))

    assert texts_to_agree() == []
    assert 'name="agrees"' not in Client().get(SIGN_UP).content.decode()
    assert sign_up().status_code == 302
    assert not Agreement.objects.exists()


def test_who_signs_up_agrees_to_the_versions_that_are_shown(terms: LegalText) -> None:
    refunds = publish(draft("refunds"))
    page = Client().get(SIGN_UP).content.decode()
    assert 'href="/terms/"' in page
    assert f'value="{mark_of(texts_to_agree())}"' in page

    sign_up(agrees="on", texts=mark_of(texts_to_agree()))

    kept = Agreement.objects.filter(user__email="dora@example.com", occasion="sign_up")
    assert {each.text_id for each in kept} == {terms.pk, refunds.pk}


@pytest.mark.parametrize("agrees", [{}, {"agrees": ""}])
def test_nobody_signs_up_without_agreeing(terms: LegalText, agrees: dict[str, str]) -> None:
    answer = sign_up(texts=str(terms.pk), **agrees)

    assert answer.status_code == 200
    assert "Please agree" in answer.content.decode()
    assert not has_account()


@pytest.mark.parametrize("mark", ["", "0", "1.2.3", "x" * 199, "\x00"])
def test_nobody_agrees_to_a_version_that_was_not_shown(terms: LegalText, mark: str) -> None:
    answer = sign_up(agrees="on", texts=mark)

    assert answer.status_code == 200
    assert not has_account()


def test_a_version_that_is_published_meanwhile_is_asked_for_again(terms: LegalText) -> None:
    shown = mark_of(texts_to_agree())
    second = publish(draft(text="New words."))

    answer = sign_up(agrees="on", texts=shown)

    assert "have changed" in answer.content.decode()
    assert f'value="{second.pk}"' in answer.content.decode()
    assert not has_account()


def test_an_agreement_is_kept_once_and_can_not_be_altered(terms: LegalText, alice: User) -> None:
    for _ in range(2):
        keep_agreement(alice, [terms], Agreement.Occasion.PURCHASE, "order")

    [kept] = Agreement.objects.all()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Agreement.objects.filter(pk=kept.pk).delete()


def test_checking_says_what_is_wrong(terms: LegalText) -> None:
    with pytest.raises(TextsChanged, match="agree to the terms"):
        check_agreement(str(terms.pk), agrees=False)
    with pytest.raises(TextsChanged, match="have changed"):
        check_agreement("", agrees=True)

    assert check_agreement(str(terms.pk), agrees=True) == [terms]


@pytest.mark.django_db
def test_staff_write_preview_and_publish_and_then_it_stays() -> None:
    root = desk.log_in(User.objects.create_superuser("root@example.com"))
    add = root.post(
        "/admin/accounts/legaltext/add/", {"kind": "terms", "text": "## Words\n\n<b>x</b>"}
    )
    assert add.status_code == 302
    text = LegalText.objects.get()
    page = root.get(f"/admin/accounts/legaltext/{text.pk}/change/").content.decode()
    assert "Draft, not public" in page
    assert '<h2 id="words">Words</h2>' in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page

    root.post(f"/admin/accounts/legaltext/do/publish/?ids={text.pk}", {"reason": "Ready."})

    text.refresh_from_db()
    assert text.version == 1
    change = f"/admin/accounts/legaltext/{text.pk}/change/"
    assert root.post(change, {"kind": "terms", "text": "Altered."}).status_code == 403
    assert root.post(change.replace("change", "delete"), {"post": "yes"}).status_code == 403


@pytest.mark.django_db
def test_security_txt_says_where_to_write() -> None:
    answer = Client().get("/.well-known/security.txt")

    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    fields = dict(line.split(": ", 1) for line in answer.content.decode().splitlines())
    assert fields["Contact"].startswith("mailto:")
    assert fields["Expires"].endswith("Z")
    assert fields["Canonical"].endswith("/.well-known/security.txt")
    assert "Policy" not in fields

    publish(draft("security"))
    assert "Policy: http" in Client().get("/.well-known/security.txt").content.decode()
