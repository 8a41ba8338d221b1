from typing import Any

import stripe

from tests.sandbox.stripe.driver import Client, Emulator, Endpoint, order, refusal


def test_it_keeps_what_it_was_given(client: Client) -> None:
    created = client.customers.create(
        {
            "email": "alice@example.com",
            "name": "Alice",
            "address": {"city": "Oslo", "country": "NO"},
            "metadata": {"user_id": "7", "0": "digits are a key like any other"},
        }
    )

    customer = client.customers.retrieve(created.id)

    assert (customer.email, customer.name) == ("alice@example.com", "Alice")
    assert customer.address is not None
    assert (customer.address.city, customer.address.line1) == ("Oslo", None)
    assert customer.metadata is not None
    assert customer.metadata["0"] == "digits are a key like any other"


def test_it_changes_only_what_it_was_told_to(client: Client) -> None:
    alice = client.customers.create(
        {"email": "alice@example.com", "name": "Alice", "metadata": {"a": "1", "b": "2"}}
    )

    client.customers.update(alice.id, {"name": "", "metadata": {"b": "", "c": "3"}})

    customer = client.customers.retrieve(alice.id)
    assert (customer.email, customer.name) == ("alice@example.com", None)
    assert customer.metadata is not None
    assert customer.metadata.to_dict() == {"a": "1", "c": "3"}


def test_it_tells_what_a_change_replaced(client: Client, endpoint: Endpoint) -> None:
    alice = client.customers.create({"name": "Alice"})
    client.customers.update(alice.id, {"name": "Alice B."})

    events = endpoint.take(2)

    previous = events["customer.updated"].data.previous_attributes
    assert previous is not None
    assert previous["name"] == "Alice"


def test_it_forgets_a_deleted_customer(client: Client) -> None:
    alice = client.customers.create({"email": "alice@example.com"})

    deleted = client.customers.delete(alice.id)

    assert deleted.deleted is True
    assert client.customers.retrieve(alice.id).deleted is True
    assert client.customers.list().data == []
    assert refusal(lambda: client.customers.update(alice.id, {"name": "x"})).http_status == 404
    assert refusal(lambda: client.sessions.create(order(customer=alice.id))).http_status == 400


def test_it_finds_customers_by_address(client: Client) -> None:
    alice = client.customers.create({"email": "alice@example.com"})
    client.customers.create({"email": "bob@example.com"})

    found = client.customers.list({"email": "alice@example.com"}).data

    assert [customer.id for customer in found] == [alice.id]


def test_it_refuses_an_unknown_parameter_and_changes_nothing(
    emulator: Emulator, client: Client
) -> None:
    given: Any = {"email": "a@example.com", "mail": "x"}

    error = refusal(lambda: client.customers.create(given))

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.code, error.param) == ("parameter_unknown", "mail")
    assert emulator.state()["objects"] == {}
