"""Delivers the outbox: signed POSTs with Stripe's headers, several at a time, in no given order."""

import asyncio
import json
import logging
import sqlite3
import time

import httpx
import stripe

from sandbox.stripe.box import Box
from sandbox.stripe.outbox import Attempt
from sandbox.stripe.resources.events import shown

_LOG = logging.getLogger("sandbox.stripe")
_PARALLEL = 8
# Stripe gives an endpoint about this long before it counts the attempt as failed.
_TIMEOUT_S = 10.0
_KEPT_OF_RESPONSE = 500
# How long a pause between two looks at the outbox may be at most.
_PAUSE_S = 30.0


class Sender:
    def __init__(self, box: Box) -> None:
        self.box = box
        self.busy: set[int] = set()

    async def run(self) -> None:
        """Deliver until cancelled. An attempt cut off is made again at the next start."""
        async with (
            # A proxy from the environment has no business between two local processes.
            httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                wake = self.box.outbox.wake
                wake.clear()
                free = self._parallel() - len(self.busy)
                for row in self.box.outbox.due(limit=max(0, free), busy=self.busy):
                    self.busy.add(row["id"])
                    tasks.create_task(self._deliver(client, row))
                await _wait(wake, self._pause_s())

    def _parallel(self) -> int:
        # Webhooks in an order of their own must not overtake each other on the way.
        return 1 if self.box.outbox.mode == "reorder" else _PARALLEL

    def _pause_s(self) -> float:
        if len(self.busy) >= self._parallel():
            return _PAUSE_S
        due_in_s = self.box.outbox.next_due_in_s(busy=self.busy)
        return _PAUSE_S if due_in_s is None else min(due_in_s, _PAUSE_S)

    async def _deliver(self, client: httpx.AsyncClient, delivery: sqlite3.Row) -> None:
        event_id = delivery["event_id"]
        try:
            copies = 2 if self.box.outbox.mode == "duplicate" else 1
            attempts = await asyncio.gather(*(self._post(client, event_id) for _ in range(copies)))
            with self.box.store.transaction():
                for attempt in attempts:
                    self.box.outbox.record(delivery["id"], delivery["round"], attempt)
            for attempt in attempts:
                if not attempt.is_success:
                    why = attempt.status_code or attempt.response
                    _LOG.warning("webhook %s: %s", event_id, why)
        finally:
            self.busy.discard(delivery["id"])
            self.box.outbox.wake.set()

    async def _post(self, client: httpx.AsyncClient, event_id: str) -> Attempt:
        event = self.box.get("event", event_id, param="id")
        payload = json.dumps(shown(self.box, event), indent=2)
        started = time.monotonic()
        try:
            response = await client.post(
                self.box.config.webhook_url, content=payload, headers=self._headers(payload)
            )
        except httpx.HTTPError as error:
            status, text = None, f"{type(error).__name__}: {error}"
        else:
            status, text = response.status_code, response.text
        return Attempt(
            status_code=status,
            response=text[:_KEPT_OF_RESPONSE],
            duration_ms=round((time.monotonic() - started) * 1000),
        )

    def _headers(self, payload: str) -> dict[str, str]:
        # Signed at real time whatever the clock says: the receiver checks its age.
        signature = stripe.WebhookSignature.generate_signature_header(
            payload, self.box.config.webhook_secret
        )
        return {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature,
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
