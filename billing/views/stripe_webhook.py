"""The webhook that receives Stripe's events. It answers 200 only once the event is stored."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from billing.exceptions import WebhookRefused
from billing.stripe_inbox.events import receive_event
from billing.tasks.stripe import nudge_stripe_events

# Stripe's events are a few KiB; some with many line items reach tens of KiB.
MAX_BODY_BYTES = 256 * 1024


@csrf_exempt  # Stripe signs the body instead
def stripe_webhook(request: HttpRequest) -> JsonResponse:
    """POST /billing/stripe/webhook"""
    if request.method != "POST":
        return _refuse(405, "method_not_allowed", "Send a POST.", allow="POST")
    body = request.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        return _refuse(413, "body_too_large", f"The limit is {MAX_BODY_BYTES} bytes.")
    try:
        event = receive_event(body, request.headers.get("Stripe-Signature", ""))
    except WebhookRefused as refusal:
        return _refuse(400, "webhook_refused", str(refusal))
    nudge_stripe_events()
    return JsonResponse({"received": event.event_id})


def _refuse(status: int, code: str, message: str, *, allow: str = "") -> JsonResponse:
    headers = {"Allow": allow} if allow else {}
    error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
    return JsonResponse({"error": error}, status=status, headers=headers)
