"""The control page and its JSON: look inside, drop and resend webhooks, move the clock."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.stripe import calls, permissions
from sandbox.stripe.box import API_VERSION, Box, Cause, Failures, Latency, When
from sandbox.stripe.currencies import written
from sandbox.stripe.errors import InvalidParameter, ResourceMissing
from sandbox.stripe.outbox import MODES, Mode
from sandbox.stripe.pages.actions import Given, Run, action, choice, whole_number
from sandbox.stripe.pages.markup import Markup, join, page, render
from sandbox.stripe.pages.money import charge_rows, dispute_rows, money_state, refund_rows
from sandbox.stripe.resources.checkout_sessions import (
    expire_overdue,
    expire_session,
    get_session,
)
from sandbox.stripe.resources.events import shown
from sandbox.stripe.store import JsonObject, Record

_SHOWN = 50
_MAX_LATENCY_S = 120
_MAX_FAILURES = 1_000
# Days late is a matter of `off` and a resend.
_MAX_HELD_S = 3_600
_MAX_ADVANCE_S = 400 * 24 * 60 * 60


def control_routes(box: Callable[[], Box]) -> list[BaseRoute]:
    """Return the routes; the box exists only once the process runs."""

    async def control(_: Request) -> Response:
        return _control(box())

    async def state(_: Request) -> Response:
        return JSONResponse(_state(box()))

    async def event(request: Request) -> Response:
        return _event(box(), request.path_params["id"])

    def route(path: str, run: Run, *names: str) -> BaseRoute:
        return action(box, path, run, names=frozenset(names))

    return [
        Route("/sandbox/", control, methods=["GET"]),
        Route("/sandbox/state", state, methods=["GET"]),
        Route("/sandbox/events/{id}", event, methods=["GET"]),
        route("/sandbox/events/{id}/resend", _resend),
        route("/sandbox/checkout/{id}/expire", _expire),
        route("/sandbox/webhooks", _set_mode, "mode", "seconds", "every"),
        route("/sandbox/latency", _set_latency, "seconds", "when", "method", "path"),
        route("/sandbox/failures", _set_failures, "times", "status", "when", "method", "path"),
        route("/sandbox/permissions", _restrict, *permissions.NAMES),
        route("/sandbox/clock", _advance, "advance_seconds"),
    ]


def _resend(box: Box, object_id: str, _: Given) -> JsonObject:
    if not box.outbox.resend(object_id):
        raise ResourceMissing("event", object_id, param="id")
    return {"resent": object_id}


def _expire(box: Box, object_id: str, _: Given) -> JsonObject:
    record = get_session(box, object_id)
    expire_session(box, record, Cause())
    return record.body


def _set_mode(box: Box, _: str, given: Given) -> JsonObject:
    mode = choice(given, "mode", MODES)
    seconds = _seconds(given, default=1.0, most=_MAX_HELD_S)
    every = whole_number(given, "every", least=2, most=1_000) or 2
    box.outbox.set_mode(cast(Mode, mode), seconds=seconds, every=every)
    return {"mode": mode, "seconds": seconds, "every": every}


def _set_latency(box: Box, _: str, given: Given) -> JsonObject:
    seconds = _seconds(given, default=None, most=_MAX_LATENCY_S)
    when = choice(given, "when", ("before", "after"), "before")
    method, path = str(given.get("method", "")), str(given.get("path", "/v1/"))
    box.latency = Latency(
        seconds=seconds,
        when="after" if when == "after" else "before",
        method=method.upper(),
        path=path,
    )
    return asdict(box.latency)


def _restrict(box: Box, _: str, given: Given) -> JsonObject:
    """Let the key do so much from now on, as a restricted one; nothing given lifts that."""
    levels = {name: choice(given, name, permissions.LEVELS) for name in given}
    permissions.restrict(box.store, cast(dict[str, permissions.Level], levels))
    return dict(levels)


def _set_failures(box: Box, _: str, given: Given) -> JsonObject:
    """Let the next calls fail. One that is turned away never ran, so there is no after."""
    times = whole_number(given, "times", least=0, most=_MAX_FAILURES)
    status = whole_number(given, "status", least=429, most=500)
    if status not in (None, 429, 500):
        raise InvalidParameter("status must be 429 or 500", param="status")
    when = choice(given, "when", ("before", "after"), "before")
    box.failures = Failures(
        times=1 if times is None else times,
        when="at_the_door" if status == 429 else cast(When, when),
        method=str(given.get("method", "")).upper(),
        path=str(given.get("path", "/v1/")),
    )
    return asdict(box.failures)


def _seconds(given: Given, *, default: float | None, most: float) -> float:
    seconds = given.get("seconds", default)
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 <= cast(float, seconds) <= most:
        raise InvalidParameter(f"seconds must be a number from 0 to {most}", param="seconds")
    return float(cast(float, seconds))


def _advance(box: Box, _: str, given: Given) -> JsonObject:
    """Move the clock forward and do at once what became due."""
    seconds = given.get("advance_seconds")
    if type(seconds) is not int or not 0 <= seconds <= _MAX_ADVANCE_S:
        raise InvalidParameter(
            f"advance_seconds must be an integer from 0 to {_MAX_ADVANCE_S}",
            param="advance_seconds",
        )
    box.clock.ahead_s += seconds
    box.store.set_setting("clock_ahead_s", str(box.clock.ahead_s))
    expired = 0
    while batch := expire_overdue(box):
        expired += batch
    return {"now": box.clock.now(), "ahead_seconds": box.clock.ahead_s, "expired": expired}


def _state(box: Box) -> JsonObject:
    return {
        "api_version": API_VERSION,
        "clock": {"now": box.clock.now(), "ahead_seconds": box.clock.ahead_s},
        "latency": asdict(box.latency),
        "failures": asdict(box.failures),
        "objects": dict(box.store.counts()),
        "webhooks": {
            "mode": box.outbox.mode,
            "seconds": box.outbox.seconds,
            "every": box.outbox.every,
            "url": box.config.webhook_url,
            "counts": box.outbox.counts(),
        },
        "deliveries": box.outbox.recent(_SHOWN),
        **money_state(box, _SHOWN),
        "sessions": [r.body for r in box.store.select("checkout.session", limit=_SHOWN)],
        "api_calls": calls.recent(box.store, _SHOWN),
    }


def _event(box: Box, event_id: str) -> Response:
    record = box.store.find(event_id, "event")
    if record is None:
        return page(
            "No such event", render("event.html", id=event_id, json="Not found."), status=404
        )
    text = json.dumps(shown(box, record), indent=2)
    return page("Event", render("event.html", id=event_id, json=text))


def _control(box: Box) -> Response:
    sessions = [_session_row(r) for r in box.store.select("checkout.session", limit=_SHOWN)]
    deliveries = [_delivery_row(delivery) for delivery in box.outbox.recent(_SHOWN)]
    recent_calls = [_call_row(call) for call in calls.recent(box.store, _SHOWN)]
    content = render(
        "control.html",
        ahead=f"{box.clock.ahead_s} s",
        charges=_rows(charge_rows(box, _SHOWN), 5, "No charge yet."),
        refunds=_rows(refund_rows(box, _SHOWN), 6, "No refund yet."),
        disputes=_rows(dispute_rows(box, _SHOWN), 6, "No dispute yet."),
        calls=_rows(recent_calls, 6, "No call yet."),
        deliveries=_rows(deliveries, 5, "No event yet."),
        mode_text=_MODE_TEXTS[box.outbox.mode],
        modes=join([_mode_button(mode) for mode in MODES if mode != box.outbox.mode]),
        sessions=_rows(sessions, 6, "No session yet. Buy something in the shop."),
        webhook_url=box.config.webhook_url,
    )
    return page("Stripe sandbox", content)


_MODE_TEXTS = {
    "normal": "sent at once",
    "off": "off: new events are dropped",
    "duplicate": "sent twice at a time",
    "reorder": "collected for a while and sent newest first",
    "delay": "sent late",
    "drop": "sent, but every second or so is dropped",
}


def _mode_button(mode: str) -> Markup:
    return render("_mode_button.html", mode=mode)


def _rows(rows: list[Markup], columns: int, empty: str) -> Markup:
    return join(rows) if rows else render("_empty_row.html", columns=columns, text=empty)


def _session_row(record: Record) -> Markup:
    body = record.body
    expire = f"/sandbox/checkout/{record.id}/expire"
    is_open = body["status"] == "open"
    is_payment = body["mode"] == "payment"
    return render(
        "_session_row.html",
        id=record.id,
        short=f"{record.id[:14]}…",
        created=_time(body["created"]),
        # One that only saves a card has no amount.
        amount=written(body["amount_total"], body["currency"]) if is_payment else "",
        status=body["status"],
        payment_status=body["payment_status"],
        reference=body["client_reference_id"] or "",
        action=render("_button.html", action=expire, label="Expire") if is_open else "",
    )


def _delivery_row(delivery: JsonObject) -> Markup:
    log = "; ".join(
        f"{_time(attempt['at'])} {attempt['status_code'] or attempt['response'][:40]}"
        for attempt in delivery["log"][-5:]
    )
    return render(
        "_delivery_row.html",
        event_id=delivery["event_id"],
        short=f"{delivery['event_id'][:12]}…",
        type=delivery["type"],
        status=delivery["status"],
        log=log or "none",
    )


def _call_row(call: JsonObject) -> Markup:
    return render(
        "_call_row.html",
        request_id=call["request_id"],
        at=_time(call["at"]),
        method=call["method"],
        path=call["path"],
        status=call["status"],
        status_class=call["status"] // 100,
        key=call["idempotency_key"] or "",
        error=call["error"] or "",
    )


def _time(timestamp: float) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%H:%M:%S}"
