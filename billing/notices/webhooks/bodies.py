"""The body of a delivery: JSON after Standard Webhooks, or a message as Slack takes it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings
from django.urls import reverse

from accounts.languages import reading
from accounts.teams.addressing import addressing
from billing.models import Webhook
from billing.notices.webhooks.kinds import KINDS, WebhookKind
from common import money

Facts = Mapping[str, Any]
# https://docs.slack.dev/messaging/formatting-message-text#escaping
SLACK_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def write_body(webhook: Webhook, kind: str, facts: Facts, *, at: datetime) -> str:
    """Return what a webhook is sent of something that happened."""
    found = KINDS[kind]
    with addressing(webhook.team, webhook.made_by), reading(webhook.made_by):
        url = _page(found, facts)
        body = (
            _as_slack(found, facts, url)
            if webhook.form == Webhook.Form.SLACK
            else _as_json(webhook, found, facts, url, at)
        )
    return orjson.dumps(body).decode()


def _page(kind: WebhookKind, facts: Facts) -> str:
    args = [facts[kind.page_of]] if kind.page_of else []
    return settings.SITE_URL + reverse(kind.page, args=args)


def _as_json(
    webhook: Webhook, kind: WebhookKind, facts: Facts, url: str, at: datetime
) -> dict[str, object]:
    data = {name: facts[name] for name in kind.facts if name in facts}
    return {
        "type": kind.name,
        "timestamp": at.isoformat(timespec="seconds"),
        "team": str(webhook.team.public_id),
        "data": {**data, "url": url},
    }


def _as_slack(kind: WebhookKind, facts: Facts, url: str) -> dict[str, object]:
    text = str(kind.words).format_map({name: _word(name, facts) for name in facts})
    more = f"<{_escaped(url)}|{_escaped(settings.SITE_NAME)}>"
    section = {"type": "section", "text": {"type": "mrkdwn", "text": f"{text} {more}"}}
    return {"text": text, "blocks": [section]}


def _word(name: str, facts: Facts) -> str:
    value = facts[name]
    if isinstance(value, int) and name.endswith("_cents"):
        return _escaped(money.price(value, facts["currency"]))
    if isinstance(value, int) and name.endswith("credits"):
        return money.credits(value)
    return _escaped(str(value))


def _escaped(text: str) -> str:
    return text.translate(SLACK_ESCAPES)
