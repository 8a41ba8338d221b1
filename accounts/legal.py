"""Legal texts: which are in force, publishing one, and agreeing to them.

Whoever agrees names the versions that they were shown. If another one was published meanwhile,
they are asked again, so that nobody agrees to what they have not seen.
"""

from collections.abc import Sequence

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from accounts.models import Agreement, LegalText, User
from common.exceptions import DomainError
from common.locks import lock_names

Kind = LegalText.Kind
Occasion = Agreement.Occasion

# What customers agree to; the others only inform.
AGREED = (Kind.TERMS, Kind.REFUNDS, Kind.PRIVACY)


class TextsChanged(DomainError):
    """What was agreed to is not what is in force now, or nothing was agreed to."""


class AlreadyPublished(DomainError):
    """A version stays as it was published."""


def find_text(kind: str, version: int | None = None) -> LegalText | None:
    """Return a published version of a text, by default the newest; None if there is none."""
    published = LegalText.objects.filter(kind=kind, version__isnull=False)
    if version is not None:
        return published.filter(version=version).first()
    return published.order_by("-version").first()


def texts_in_force() -> list[LegalText]:
    """Return the newest published version of each text, in the order of `Kind`."""
    newest = (
        LegalText.objects.filter(version__isnull=False)
        .order_by("kind", "-version")
        .distinct("kind")
        .defer("text", "text_de")
    )
    order = list(Kind)
    return sorted(newest, key=lambda each: order.index(Kind(each.kind)))


def texts_to_agree() -> list[LegalText]:
    """Return the versions that customers have to agree to; none before staff publish any."""
    return [each for each in texts_in_force() if each.kind in AGREED]


def words_of_agreement(texts: Sequence[LegalText]) -> SafeString:
    """Return what a box says by which somebody agrees, with links to what is agreed to."""
    links = [
        format_html(
            '<a href="{}" target="_blank" rel="noopener">{}</a>',
            reverse("legal", args=[text.kind]),
            Kind(text.kind).label.lower(),
        )
        for text in texts
    ]
    joined = format_html_join(" and the ", "{}", ((each,) for each in links))
    return format_html(gettext("I agree to the {}."), joined)


def mark_of(texts: Sequence[LegalText]) -> str:
    """Return what a form carries of the versions that it showed."""
    return ".".join(str(each.pk) for each in texts)


def check_agreement(mark: str, *, agrees: bool) -> list[LegalText]:
    """Return the versions that are agreed to. Raises TextsChanged."""
    texts = texts_to_agree()
    if texts and not agrees:
        raise TextsChanged(gettext("Please agree to the terms first."))
    if mark != mark_of(texts):
        raise TextsChanged(
            gettext("The terms have changed since this page was shown. Read them again.")
        )
    return texts


def keep_agreement(
    user: User, texts: Sequence[LegalText], occasion: Agreement.Occasion, reference: str = ""
) -> None:
    """Keep that a person agrees, in the caller's transaction. Safe to repeat."""
    now = timezone.now()
    Agreement.objects.bulk_create(
        [
            Agreement(user=user, text=text, occasion=occasion, reference=reference, agreed_at=now)
            for text in texts
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def publish(text: LegalText) -> LegalText:
    """Give a draft the next version, which is in force at once. Raises AlreadyPublished."""
    lock_names(f"legal {text.kind}")
    draft = LegalText.objects.select_for_update().get(pk=text.pk)
    if draft.version is not None:
        raise AlreadyPublished(gettext("This version is published already."))
    newest = find_text(draft.kind)
    draft.version = (newest.version or 0) + 1 if newest else 1
    draft.published_at = timezone.now()
    draft.save(update_fields=["version", "published_at"])
    return draft
