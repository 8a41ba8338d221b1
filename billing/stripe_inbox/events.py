"""The inbox of Stripe's webhook: verify, store, answer; process later.

An event that was received is not yet processed. It is stored once, under Stripe's id, and stays due
until its handler has succeeded. A handler takes only the id of the object from the event and reads
the object's present state from Stripe, so events may come twice, late and in any order.

`common/due.py` says how sweeps share the due events, and how an event is due again after a crash.
"""

import time
from datetime import timedelta
from typing import Any

import orjson
import stripe
import structlog
from django.conf import settings
from django.utils import timezone

from billing.exceptions import PaymentProviderAway, WebhookMalformed, WebhookUnsigned
from billing.ledger.inbox import file_item
from billing.models import StripeEvent
from billing.stripe_api import ORDER_KEY
from billing.stripe_api.card_payments import CHANNEL_KEY
from billing.stripe_inbox.handlers import HANDLERS
from common.due import RetriedRows

# https://docs.stripe.com/webhooks#verify-official-libraries
SIGNATURE_TOLERANCE_S = 300
# After this many failures, about an hour, a person has to look at it.
ALARMING_ATTEMPTS = 10
EVENTS = RetriedRows(
    StripeEvent.objects.filter(processed_at=None),
    # About as long as a handler takes when every call to Stripe times out and is repeated. Two
    # handlers at once do no harm, and a killed worker must not keep a refund waiting for longer.
    lease=timedelta(minutes=2),
    first_pause=timedelta(seconds=5),
    longest_pause=timedelta(hours=1),
    alarming_attempts=ALARMING_ATTEMPTS,
)
BATCH = 100
# What handlers read of an object's metadata.
USED_METADATA = (ORDER_KEY, CHANNEL_KEY)

log = structlog.get_logger(__name__)


def receive_event(body: bytes, signature: str) -> StripeEvent:
    """Verify and store an event; the same event is stored once. Safe to repeat and to race.

    Raises WebhookUnsigned or WebhookMalformed; nothing is stored then.
    """
    _verify_signature(body, signature)
    return store_event(_parse_event(body))


def store_event(event: dict[str, Any]) -> StripeEvent:
    """Store an event that is known to be Stripe's, once. Safe to repeat and to race."""
    stored, is_new = StripeEvent.objects.get_or_create(
        event_id=event["id"],
        defaults={
            "kind": event["type"],
            "object_id": event["data"]["object"].get("id") or "",
            "payload": _what_is_used(event),
        },
    )
    log.info("stripe_event_received", event_id=stored.event_id, kind=stored.kind, is_new=is_new)
    return stored


def _what_is_used(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without what no handler reads, such as names and addresses of customers."""
    subject = event["data"]["object"]
    kept = {name: subject[name] for name in ("id", "object", "mode") if name in subject}
    metadata = subject.get("metadata")
    if isinstance(metadata, dict):
        kept["metadata"] = {name: metadata[name] for name in USED_METADATA if name in metadata}
    if charge := subject.get("charge"):
        kept["charge"] = charge["id"] if isinstance(charge, dict) else charge
    names = ("id", "type", "created", "livemode", "api_version")
    return {**{name: event.get(name) for name in names}, "data": {"object": kept}}


def process_due_events(*, most: int = BATCH) -> int:
    """Process the events that are due, oldest first, and return how many were tried.

    Safe to run at once: one sweep claims each event. An event that fails keeps its error and is
    tried again, later each time. Stops while Stripe can't be reached: the others stay due.
    """
    tried = 0
    for event in EVENTS.take(EVENTS.due()[:most]):
        tried += 1
        if isinstance(_process(event), PaymentProviderAway):
            break
    return tried


def process_again(event: StripeEvent) -> None:
    """Make an event due again, processed or not. Handlers are safe to repeat."""
    StripeEvent.objects.filter(pk=event.pk).update(
        processed_at=None, next_attempt_at=timezone.now(), attempts=0, error=""
    )


def _verify_signature(body: bytes, signature: str) -> None:
    """Raise WebhookUnsigned unless one of the secrets signed this body just now."""
    # Digests can be compared in constant time only if they are ASCII text.
    if not signature.isascii() or not any(
        _is_signed(body, signature, secret) for secret in settings.STRIPE_WEBHOOK_SECRETS
    ):
        raise WebhookUnsigned("The signature is missing, wrong or too old.")
    # The SDK refuses a timestamp that is too old, but not one in the future.
    if _signed_at_s(signature) > time.time() + SIGNATURE_TOLERANCE_S:
        raise WebhookUnsigned("The signature is from the future.")


def _is_signed(body: bytes, signature: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, SIGNATURE_TOLERANCE_S)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    return True


def _signed_at_s(signature: str) -> int:
    """Return the timestamp of a verified header: its first `t`, as in the SDK."""
    pairs = (item.split("=", 2) for item in signature.split(","))
    return next(int(pair[1]) for pair in pairs if pair[0] == "t")


def _parse_event(body: bytes) -> dict[str, Any]:
    """Return the event in a signed body. Raises WebhookMalformed if it is not for this site."""
    try:
        event: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WebhookMalformed("The body is not JSON.") from error
    if not _is_event(event):
        raise WebhookMalformed("The body is not a Stripe event.")
    # PostgreSQL's JSON can't hold a NUL, and Stripe's API refuses it.
    if b"\\u0000" in body:
        raise WebhookMalformed("The body contains a NUL character.")
    if event["livemode"] is not settings.STRIPE_LIVE_MODE:
        _report_other_mode(event)
        raise WebhookMalformed("The event is from the other mode, test or live, than this site.")
    return event


def _report_other_mode(event: dict[str, Any]) -> None:
    """Report, once a day, that Stripe's other mode knows our secret: an endpoint is misplaced, and
    what should come from the right one may not.
    """
    mode = "live" if event["livemode"] else "test"
    file_item(
        kind="stripe_event_of_other_mode",
        reference=f"{mode}:{timezone.now():%Y-%m-%d}",
        summary=f"Stripe sends events of {mode} mode, which this site refuses: {event['type']}.",
        detail={"event_id": event["id"]},
    )


def _is_event(event: Any) -> bool:
    return (
        isinstance(event, dict)
        and event.get("object") == "event"
        and _is_text(event.get("id"), most=120)
        and _is_text(event.get("type"), most=80)
        and isinstance(event.get("livemode"), bool)
        and isinstance(event.get("data"), dict)
        and isinstance(event["data"].get("object"), dict)
        # Some objects have no id, such as a balance.
        and _is_text(event["data"]["object"].get("id") or "none", most=120)
    )


def _is_text(value: Any, *, most: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= most


def _process(event: StripeEvent) -> Exception | None:
    """Run an event's handler and note the outcome. Returns the handler's error, if any."""
    try:
        handler = HANDLERS.get(event.kind)
        if handler is not None:
            handler(event)
    except Exception as error:  # noqa: BLE001 - whatever one event breaks, the others go on
        _note_failure(event, error)
        return error
    StripeEvent.objects.filter(pk=event.pk).update(processed_at=timezone.now(), error="")
    return None


def _note_failure(event: StripeEvent, error: Exception) -> None:
    text = f"{type(error).__name__}: {error}"
    log.warning(
        "stripe_event_failed", event_id=event.event_id, attempts=event.attempts, exc_info=error
    )
    EVENTS.postpone(event, error=text)
    if EVENTS.is_alarming(event):
        file_item(
            kind="stripe_event_failing",
            reference=event.event_id,
            summary=f"{event.kind} failed {event.attempts} times: {text}",
            detail={"event": event.pk},
        )
