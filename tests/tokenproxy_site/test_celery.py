"""What a worker leaves at the broker, and a broker that goes away from under a worker."""

from typing import Any, cast

from tokenproxy_site.celery import app


def test_it_survives_what_it_has_not_acknowledged() -> None:
    connection = app.connection_for_read()
    channel: Any = connection.default_channel
    channel.qos._delivered["1"] = cast(Any, object())

    # What a worker leaves of a connection that broke while its channel was being closed.
    connection.transport.client = None
    connection.release()

    assert channel.closed


def test_a_message_that_a_worker_took_is_nowhere_else() -> None:
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("taken")
        queue.put({"task": "a sweep"})

        message = queue.get(timeout=10)

        channel: Any = connection.default_channel
        left = channel.client.keys("*")
        assert not [name for name in left if b"unacked" in name or name == b"taken"]
        message.ack()
        queue.close()
