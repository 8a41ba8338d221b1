"""What a webhook can be sent: one table for forms, bodies, Slack's words and the documentation."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.models import Notice

Cause = Notice.Kind
ORDER = ("order_id", "pack_name", "credits", "bonus_credits", "amount_cents", "currency")
KEY = ("key_id", "name", "hint")


@dataclass(frozen=True, slots=True)
class WebhookKind:
    """One kind of what happens. Of its facts, `facts` are sent and no others.

    `page` is the name of a page that says more, and `page_of` the fact that its address has.
    """

    name: str
    label: Promise
    # For Slack, with facts in braces: amounts are written as money or credits.
    words: Promise
    facts: tuple[str, ...] = ()
    page: str = "dashboard"
    page_of: str = ""


LOW_BALANCE, MONTHLY, TEST = "balance.low", "summary.monthly", "webhook.test"
CHOICES = (
    WebhookKind(
        LOW_BALANCE,
        _("Low balance"),
        _("Low balance: {posted_credits} credits are left, fewer than {threshold_credits}."),
        ("posted_credits", "threshold_credits"),
        "packs",
    ),
    WebhookKind(
        "key.spend_leapt",
        _("Leap in a key’s spending"),
        _(
            "Leap in spending: {name} ({hint}) spent {spent_credits} credits within an hour; its"
            " busiest hour of the week before had {usual_credits}."
        ),
        (*KEY, "spent_credits", "usual_credits", "pause_url"),
        "dashboard-key-pause",
        "key_id",
    ),
    WebhookKind(
        "key.made", _("API key made"), _("New API key: {name} ({hint})."), KEY, "dashboard-keys"
    ),
    WebhookKind(
        "key.rotated",
        _("API key rotated"),
        _("API key rotated: {name} is {hint} now."),
        (*KEY, "previous_hint", "previous_expires_at"),
        "dashboard-keys",
    ),
    WebhookKind(
        "key.revoked",
        _("API key revoked"),
        _("API key revoked: {name} ({hint})."),
        KEY,
        "dashboard-keys",
    ),
    WebhookKind(
        "order.paid",
        _("Purchase"),
        _("Purchase: {pack_name}, {credits} credits for {amount_cents}."),
        (*ORDER, "expires_at"),
        "dashboard-order",
        "order_id",
    ),
    WebhookKind(
        "order.refunded",
        _("Refund"),
        _("Refund: {refunded_cents} of {amount_cents} for {pack_name} went back."),
        (*ORDER, "refunded_cents", "clawed_back_credits"),
        "dashboard-order",
        "order_id",
    ),
    WebhookKind(
        "top_up.failed",
        _("Automatic top-up failed"),
        _("Automatic top-up failed. The page says why and what helps."),
        (*ORDER, "failure", "reason"),
        "dashboard-top-up",
    ),
    WebhookKind(
        MONTHLY,
        _("Summary of a month"),
        _(
            "{month}: {charged_credits} credits were spent in {requests} requests; the month"
            " before it were {before_credits}."
        ),
        (
            *("month", "charged_credits", "requests", "before_credits", "posted_credits"),
            *("by_model", "by_key", "orders"),
        ),
        "dashboard-usage",
    ),
)
KINDS = {
    each.name: each
    for each in (
        *CHOICES,
        WebhookKind(
            TEST, _("Test"), _("This is a test. Your webhook works."), (), "settings-webhooks"
        ),
    )
}
# Which mails have a kind of webhook beside them. A low balance is looked for by each webhook's own
# threshold.
BY_CAUSE = {
    Cause.SPEND_SPIKE: "key.spend_leapt",
    Cause.NEW_KEY: "key.made",
    Cause.KEY_ROTATED: "key.rotated",
    Cause.KEY_REVOKED: "key.revoked",
    Cause.PURCHASE: "order.paid",
    Cause.REFUND: "order.refunded",
    Cause.TOP_UP_DECLINED: "top_up.failed",
    Cause.TOP_UP_ACTION: "top_up.failed",
    Cause.TOP_UP_OFF: "top_up.failed",
}
