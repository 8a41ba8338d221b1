"""Webhook endpoints: the one that the process was started with, to be looked at."""

import hashlib

from stripe.params import WebhookEndpointListParams, WebhookEndpointRetrieveParams

from sandbox.stripe.box import API_VERSION, Box
from sandbox.stripe.errors import ResourceMissing
from sandbox.stripe.listing import as_list
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.store import JsonObject

# It was there before any object: the emulator's own first second.
_CREATED = 1_700_000_000


def _endpoint(box: Box) -> JsonObject:
    url = box.config.webhook_url
    return {
        "id": f"we_1{hashlib.sha256(url.encode()).hexdigest()[:23]}",
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": _CREATED,
        "description": None,
        "enabled_events": ["*"],
        "livemode": False,
        "metadata": {},
        "status": "disabled" if box.outbox.mode == "off" else "enabled",
        "url": url,
    }


def _retrieve(call: Call) -> JsonObject:
    endpoint = _endpoint(call.box)
    if call.path_params["id"] != endpoint["id"]:
        raise ResourceMissing("webhook_endpoint", call.path_params["id"], param="id")
    return endpoint


def _list(call: Call) -> JsonObject:
    return as_list([_endpoint(call.box)], url=call.path)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/webhook_endpoints",
        params=WebhookEndpointListParams,
        emulated=frozenset({"limit", "expand"}),
        run=_list,
    ),
    Operation(
        method="GET",
        path="/v1/webhook_endpoints/{id}",
        params=WebhookEndpointRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
)
