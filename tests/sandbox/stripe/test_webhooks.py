import time
from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.driver import PATIENCE_S, Client, Emulator, Endpoint, refusal, types_of


def status_of(emulator: Emulator, event_id: str, wanted: str) -> str:
    """Return a delivery's status, as soon as it is the wanted one."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        deliveries = emulator.state()["deliveries"]
        found = {delivery["event_id"]: delivery["status"] for delivery in deliveries}[event_id]
        if found == wanted or time.monotonic() > deadline:
            return str(found)


def test_it_signs_what_it_sends(client: Client, endpoint: Endpoint) -> None:
    client.customers.create({})

    hook = endpoint.hooks.get(timeout=PATIENCE_S)

    event = hook.event()
    assert event.type == "customer.created"
    assert (event.api_version, event.livemode) == (stripe.api_version, False)
    assert event.request is not None
    assert str(event.request.id).startswith("req_")
    with pytest.raises(stripe.SignatureVerificationError):
        hook.event(secret="whsec_of_someone_else")


def test_it_sends_again_until_the_endpoint_takes_it(
    emulator: Emulator, client: Client, endpoint: Endpoint
) -> None:
    for status in (500, 302, 404):
        endpoint.answers.put(status)

    client.customers.create({})

    (event_id,) = {endpoint.next().id for _ in range(4)}
    assert status_of(emulator, event_id, "delivered") == "delivered"
    log = emulator.state()["deliveries"][0]["log"]
    assert [attempt["status_code"] for attempt in log] == [500, 302, 404, 200]
    assert client.events.retrieve(event_id).pending_webhooks == 0


def test_it_gives_up_when_its_schedule_ends(
    emulator: Emulator, client: Client, endpoint: Endpoint
) -> None:
    for _ in range(4):
        endpoint.answers.put(500)

    client.customers.create({})

    (event_id,) = {endpoint.next().id for _ in range(4)}
    assert status_of(emulator, event_id, "failed") == "failed"
    assert client.events.retrieve(event_id).pending_webhooks == 1


def test_it_drops_webhooks_while_they_are_off(
    emulator: Emulator, client: Client, endpoint: Endpoint
) -> None:
    emulator.control("webhooks", mode="off")
    alice = client.customers.create({})
    emulator.control("webhooks", mode="normal")
    bob = client.customers.create({})

    event = endpoint.next()

    assert event.data.object["id"] == bob.id
    statuses = [delivery["status"] for delivery in emulator.state()["deliveries"]]
    assert statuses[1] == "dropped"
    events = client.events.list({"type": "customer.created"}).data
    assert [e.data.object["id"] for e in events] == [bob.id, alice.id]


def test_it_resends_what_it_dropped(emulator: Emulator, client: Client, endpoint: Endpoint) -> None:
    emulator.control("webhooks", mode="off")
    client.customers.create({})
    event_id = client.events.list().data[0].id

    emulator.control(f"events/{event_id}/resend")

    assert endpoint.next().id == event_id


def test_it_resends_what_was_delivered(
    emulator: Emulator, client: Client, endpoint: Endpoint
) -> None:
    client.customers.create({})
    first = endpoint.next()

    emulator.control(f"events/{first.id}/resend")

    assert endpoint.next().id == first.id


def test_it_resends_even_while_the_first_delivery_is_under_way(
    emulator: Emulator, client: Client, endpoint: Endpoint
) -> None:
    endpoint.may_answer.clear()
    client.customers.create({})
    first = endpoint.next()

    emulator.control(f"events/{first.id}/resend")
    endpoint.may_answer.set()

    assert endpoint.next().id == first.id
    assert status_of(emulator, first.id, "delivered") == "delivered"


def test_it_delivers_after_a_restart_what_it_could_not_before(
    emulator: Emulator, client: Client, endpoint: Endpoint
) -> None:
    emulator.retry_delays_s = (0.5,)
    emulator.restart()
    endpoint.answers.put(503)
    emulator.client.customers.create({})
    refused = endpoint.next()

    emulator.restart()

    assert endpoint.next().id == refused.id


def test_it_knows_no_other_mode(emulator: Emulator) -> None:
    answer = emulator.http.post("/sandbox/webhooks", json={"mode": "sometimes"})

    assert answer.status_code == 400
    assert emulator.state()["webhooks"]["mode"] == "normal"


def test_it_lists_events_by_type_and_by_group(emulator: Emulator, client: Client) -> None:
    emulator.paid()

    charges = client.events.list({"type": "charge.*"}).data
    two = client.events.list(
        {"types": ["checkout.session.completed", "payment_intent.succeeded"]}
    ).data
    both = refusal(lambda: client.events.list({"type": "charge.*", "types": ["charge.succeeded"]}))

    assert [event.type for event in charges] == ["charge.succeeded"]
    assert [event.type for event in two] == [
        "checkout.session.completed",
        "payment_intent.succeeded",
    ]
    assert both.http_status == 400


def test_it_forgets_an_event_after_thirty_days(emulator: Emulator, client: Client) -> None:
    client.customers.create({"name": "Alice"})
    event = client.events.list().data[0]
    emulator.control("clock", advance_seconds=30 * 86_400)
    kept = client.events.list().data

    emulator.control("clock", advance_seconds=60)

    assert [event.id for event in kept] == [event.id]
    assert client.events.list().data == []
    assert refusal(lambda: client.events.retrieve(event.id)).code == "resource_missing"


def test_it_keeps_an_event_as_it_was(emulator: Emulator, client: Client) -> None:
    alice = client.customers.create({"name": "Alice"})
    client.customers.update(alice.id, {"name": "Alice B."})

    created = client.events.list({"type": "customer.created"}).data[0]

    assert created.data.object["name"] == "Alice"


def test_it_sends_each_event_twice(emulator: Emulator, client: Client, endpoint: Endpoint) -> None:
    emulator.control("webhooks", mode="duplicate")

    client.customers.create({})

    first, second = endpoint.next(), endpoint.next()
    assert first.id == second.id
    assert status_of(emulator, first.id, "delivered") == "delivered"
    assert client.events.retrieve(first.id).pending_webhooks == 0


def test_it_sends_the_newest_first(emulator: Emulator, client: Client, endpoint: Endpoint) -> None:
    emulator.control("webhooks", mode="reorder", seconds=0.3)

    emulator.paid()

    sent = [endpoint.next().type for _ in range(4)]
    assert sent == types_of(client, "*")[::-1]


def test_it_sends_late(emulator: Emulator, client: Client, endpoint: Endpoint) -> None:
    emulator.control("webhooks", mode="delay", seconds=0.3)
    started = time.monotonic()

    client.customers.create({})
    endpoint.next()

    assert time.monotonic() - started >= 0.3


def test_it_loses_every_third(emulator: Emulator, client: Client, endpoint: Endpoint) -> None:
    emulator.control("webhooks", mode="drop", every=3)

    customers = [client.customers.create({}).id for _ in range(4)]

    arrived = {endpoint.next().data.object["id"] for _ in range(3)}
    assert arrived == {customers[0], customers[1], customers[3]}


@pytest.mark.parametrize("given", [{"every": 1}, {"seconds": -1}, {"seconds": "1"}, {"x": 1}])
def test_it_refuses_a_mode_that_makes_no_sense(emulator: Emulator, given: dict[str, Any]) -> None:
    answer = emulator.http.post("/sandbox/webhooks", json={"mode": "drop", **given})

    assert answer.status_code == 400
    assert emulator.state()["webhooks"]["mode"] == "normal"


def test_it_lists_its_endpoint(client: Client, endpoint: Endpoint) -> None:
    listed = client.stripe.v1.webhook_endpoints.list().data

    assert [(each.url, each.status, each.enabled_events) for each in listed] == [
        (endpoint.url, "enabled", ["*"])
    ]
    assert client.stripe.v1.webhook_endpoints.retrieve(listed[0].id).id == listed[0].id
