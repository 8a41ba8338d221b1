"""Compose a notice's mail from the templates of its kind: text and HTML of the same facts.

The first line of the text template is the subject.
"""

from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template import Context, Engine
from django.urls import reverse

from accounts.models import User
from accounts.password_links import make_password_link
from billing.ledger.balances import read_balance
from billing.ledger.wallets import get_wallet
from billing.models import Notice
from billing.notices.notify import SWITCHES


def compose(notice: Notice) -> EmailMultiAlternatives:
    """Return the mail of a notice, ready to be sent."""
    context = _context(notice)
    subject, _, text = _render(notice, "txt", context).strip().partition("\n")
    message = EmailMultiAlternatives(
        subject=subject.strip(),
        body=f"{text.strip()}\n",
        to=[notice.recipient],
        headers=_headers(notice),
    )
    context["subject"] = message.subject
    message.attach_alternative(_render(notice, "html", context), "text/html")
    return message


def _render(notice: Notice, form: str, context: dict[str, Any]) -> str:
    template = Engine.get_default().get_template(f"mail/{notice.kind}.{form}")
    return template.render(Context(context, autoescape=form == "html"))


def _context(notice: Notice) -> dict[str, Any]:
    return {
        **notice.facts,
        **(_about(notice.user, notice.kind) if notice.user else {}),
        "kind": notice.kind,
        "email": notice.recipient,
        "created_at": notice.created_at,
        "can_be_switched_off": notice.kind in SWITCHES,
        "site_name": settings.SITE_NAME,
        "site_url": settings.SITE_URL,
        "support_email": settings.SUPPORT_EMAIL,
        "settings_url": settings.SITE_URL + reverse("settings-notifications"),
    }


def _about(user: User, kind: str) -> dict[str, Any]:
    """Return what is read when the mail is sent; a link with a secret is in no table."""
    if kind == Notice.Kind.PASSWORD_LINK:
        return {"password_url": make_password_link(user)}
    return {"balance": read_balance(get_wallet(user))}


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
    return headers
