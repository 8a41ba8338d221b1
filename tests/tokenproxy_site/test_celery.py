"""What worker and beat leave at the broker, and a broker that goes away from under a worker."""

from pathlib import Path
from typing import Any, cast

from celery import Celery
from django.conf import settings

from tests.waiting import await_true
from tokenproxy_site.beat import FixedScheduler
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


def test_beat_sends_what_is_due_and_nothing_else(tmp_path: Path) -> None:
    own = Celery("beat", set_as_current=False)
    own.conf.update(
        broker_url=settings.CELERY_BROKER_READ_URL,
        broker_transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS,
        task_default_queue="of-this-test",
        beat_schedule={
            "often": {"task": "a.sweep", "schedule": 0.01},
            "seldom": {"task": "another.sweep", "schedule": 3_600.0},
        },
    )
    scheduler = FixedScheduler(own, schedule_filename=str(tmp_path / "beat"))
    with own.connection_for_read() as connection:
        channel: Any = connection.default_channel
        redis = channel.client

        def has_sent_twice() -> bool:
            scheduler.tick()
            return bool(redis.llen("of-this-test") >= 2)

        await_true(has_sent_twice, what="two messages of beat")

        sent = redis.lrange("of-this-test", 0, -1)
        redis.delete("of-this-test")
    scheduler.close()
    assert all(b'"a.sweep"' in message for message in sent)
