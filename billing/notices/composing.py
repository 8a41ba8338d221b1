"""Compose a notice's mail from the templates of its kind: text and HTML of the same facts.

The first line of the text template is the subject.
"""

from contextlib import AbstractContextManager
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template import Context, Engine
from django.urls import reverse
from django.utils import translation

from accounts.languages import is_offered, reading
from accounts.models import User
from accounts.password_links import make_password_link
from accounts.teams.addressing import addressing
from accounts.teams.members import is_alone, own_team
from billing.ledger.balances import read_balance
from billing.ledger.wallets import get_wallet
from billing.models import Notice
from billing.notices.notify import SWITCHES
from billing.notices.status.links import Wish, make_confirming_link, make_ending_link


def compose(notice: Notice) -> EmailMultiAlternatives:
    """Return the mail of a notice, ready to be sent."""
    with addressing(notice.team, notice.user), _reading(notice):
        context = _context(notice)
        return compose_from(notice.kind, context, to=notice.recipient, headers=_headers(notice))


def _reading(notice: Notice) -> AbstractContextManager[None]:
    """Write in the reader's language; for who has no account, in that of the page they were on."""
    if notice.user is None and is_offered(str(notice.facts.get("language"))):
        return translation.override(notice.facts["language"])
    return reading(notice.user)


def compose_from(
    name: str, context: dict[str, Any], *, to: str, headers: dict[str, str]
) -> EmailMultiAlternatives:
    """Return a mail from the two templates of this name."""
    subject, _, text = _render(name, "txt", context).strip().partition("\n")
    message = EmailMultiAlternatives(
        subject=subject.strip(), body=f"{text.strip()}\n", to=[to], headers=headers
    )
    html = _render(name, "html", {**context, "subject": message.subject})
    message.attach_alternative(html, "text/html")
    return message


def _render(name: str, form: str, context: dict[str, Any]) -> str:
    template = Engine.get_default().get_template(f"mail/{name}.{form}")
    return template.render(Context(context, autoescape=form == "html"))


def _context(notice: Notice) -> dict[str, Any]:
    return {
        **notice.facts,
        **(_about(notice, notice.user) if notice.user else {}),
        **_status_links(notice),
        "kind": notice.kind,
        "email": notice.recipient,
        "created_at": notice.created_at,
        "can_be_switched_off": notice.kind in SWITCHES,
        "site_name": settings.SITE_NAME,
        "site_url": settings.SITE_URL,
        "support_email": settings.SUPPORT_EMAIL,
        "settings_url": settings.SITE_URL + reverse("settings-notifications"),
    }


def _about(notice: Notice, user: User) -> dict[str, Any]:
    """Return what is read when the mail is sent; a link with a secret is in no table."""
    if notice.kind == Notice.Kind.PASSWORD_LINK:
        return {"password_url": make_password_link(user)}
    team = notice.team or own_team(user)
    return {
        "balance": read_balance(get_wallet(team)),
        "team": None if is_alone(team) else team,
        # What it is about: another person is read only now, so that no mail keeps their address.
        "about": team,
        "person": User.objects.filter(pk=notice.facts.get("person_id")).first(),
    }


def _status_links(notice: Notice) -> dict[str, str]:
    """Return the links that are signed when the mail is sent; they too are in no table."""
    facts = notice.facts
    if notice.kind == Notice.Kind.STATUS_LINK:
        wish = Wish(facts["subscription"], facts["language"], facts["model_names"])
        return {"confirm_url": make_confirming_link(wish)}
    if notice.kind == Notice.Kind.INCIDENT:
        return {"unsubscribe_url": make_ending_link(facts["subscription"])}
    return {}


def _headers(notice: Notice) -> dict[str, str]:
    # The Message-ID never changes, so that a second copy is recognised.
    host = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    headers = {
        "Message-ID": f"<notice-{notice.pk}.{int(notice.created_at.timestamp())}@{host}>",
        # RFC 3834: holiday replies and ticket systems don't answer it.
        "Auto-Submitted": "auto-generated",
    }
    if notice.kind in SWITCHES:
        headers["List-Unsubscribe"] = f"<{settings.SITE_URL}{reverse('settings-notifications')}>"
    if notice.kind == Notice.Kind.INCIDENT:
        # RFC 8058: mail programs end it with one POST, without a page.
        headers["List-Unsubscribe"] = f"<{make_ending_link(notice.facts['subscription'])}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers
