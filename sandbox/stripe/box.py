"""What every part of the emulator works on, and the event log all of them write to."""

import copy
from dataclasses import dataclass, field
from typing import Literal

import stripe

from sandbox.stripe.clock import Clock
from sandbox.stripe.config import Config
from sandbox.stripe.errors import ResourceMissing
from sandbox.stripe.ids import new_id
from sandbox.stripe.outbox import Outbox
from sandbox.stripe.store import JsonObject, Record, Store

# Objects are shaped for the one version that the installed SDK speaks.
API_VERSION = stripe.api_version


@dataclass(frozen=True, kw_only=True)
class Cause:
    """The API request that led to an event; nothing of it for what a person or the clock did."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long API calls take: before they run, or after they happened and before the answer."""

    seconds: float = 0.0
    when: Literal["before", "after"] = "before"
    # Only calls of this method (empty for all) whose path starts like this.
    method: str = ""
    path: str = "/v1/"

    def of(self, method: str, path: str, when: Literal["before", "after"]) -> float:
        is_meant = self.method in ("", method) and path.startswith(self.path)
        return self.seconds if is_meant and when == self.when else 0.0


When = Literal["at_the_door", "before", "after"]


@dataclass(kw_only=True)
class Failures:
    """How many more API calls fail: turned away (429), or 500 before or after they happened."""

    times: int = 0
    when: When = "before"
    # Only calls of this method (empty for all) whose path starts like this.
    method: str = ""
    path: str = "/v1/"

    def strike(self, method: str, path: str, when: When) -> bool:
        """Return whether this call fails here, and count it."""
        is_meant = self.method in ("", method) and path.startswith(self.path)
        if not (is_meant and self.times and when == self.when):
            return False
        self.times -= 1
        return True


@dataclass(kw_only=True)
class Box:
    config: Config
    store: Store
    clock: Clock
    outbox: Outbox
    # Seconds that API calls wait, so that time-outs can be tried.
    latency: Latency = Latency()
    failures: Failures = field(default_factory=Failures)

    def get(self, kind: str, object_id: str, *, param: str, status: int = 404) -> Record:
        """Return an object or raise ResourceMissing; 400 is for ids given as parameters."""
        record = self.store.find(object_id, kind)
        if record is None:
            raise ResourceMissing(kind, object_id, param=param, status=status)
        return record

    def stamp(self, kind: str) -> JsonObject:
        """Return the keys that every new object starts with."""
        return {
            "id": new_id(kind),
            "object": kind,
            "created": self.clock.now(),
            "livemode": False,
        }

    def change(self, record: Record, changes: JsonObject) -> JsonObject:
        """Save changes to an object; return the previous values of what differs by them."""
        previous = {
            key: record.body.get(key)
            for key, value in changes.items()
            if record.body.get(key) != value
        }
        record.body |= changes
        self.store.save(record)
        return previous

    def emit(
        self,
        event_type: str,
        subject: JsonObject,
        *,
        cause: Cause,
        previous: JsonObject | None = None,
    ) -> Record:
        """Write an event about an object as it is now, and its delivery."""
        data: JsonObject = {"object": copy.deepcopy(subject)}
        if previous is not None:
            data["previous_attributes"] = previous
        event = self.store.insert(
            {
                **self.stamp("event"),
                "api_version": API_VERSION,
                "data": data,
                "pending_webhooks": 1,
                "request": {"id": cause.request_id, "idempotency_key": cause.idempotency_key},
                "type": event_type,
            }
        )
        self.outbox.add(event.id)
        return event
