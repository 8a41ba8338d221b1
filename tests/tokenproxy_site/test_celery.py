"""A worker whose broker goes away while a message is on its way to a thread."""

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
