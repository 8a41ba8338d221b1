"""Why a delivery had no answer: a reason that customers read in their language."""

import errno
import socket
import ssl
import threading

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.models import WebhookDelivery
from billing.notices.webhooks.deliveries import write_test
from billing.notices.webhooks.failures import failure_of
from billing.notices.webhooks.posting import post_due_deliveries
from billing.notices.webhooks.switches import Choice, make_webhook
from common.encryption import InvalidToken
from common.outside import NoAllowedAddress

KEY = ConnectionKey("example.com", 443, True, True, None, None, None)
Failure = WebhookDelivery.Failure


@pytest.fixture
def delivery(alice: User, settings: Settings) -> WebhookDelivery:
    settings.ALLOW_LOOPBACK_WEBHOOKS = True
    chosen = Choice(url="http://127.0.0.1:1/", form="json", kinds=(), low_balance_credits=300)
    return write_test(make_webhook(own_seat(alice), chosen)[0])


def answer_once(server: socket.socket, said: bytes) -> None:
    """Read a request, say something, and hang up."""
    connection, _ = server.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(said)


@pytest.mark.parametrize(
    ("said", "failure"), [(b"SSH-2.0-OpenSSH_9.2\r\n", Failure.NO_HTTP), (b"", Failure.BROKEN)]
)
def test_an_answer_that_is_none_is_named(
    delivery: WebhookDelivery, said: bytes, failure: Failure
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        delivery.webhook.url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        delivery.webhook.save()
        thread = threading.Thread(target=answer_once, args=(server, said))
        thread.start()

        post_due_deliveries()
        thread.join()

    delivery.refresh_from_db()
    assert (delivery.status_code, delivery.failure) == (None, failure)


@pytest.mark.parametrize(
    ("problem", "failure"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Failure.NAME),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Failure.UNREACHABLE),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError()), Failure.TLS),
        (aiohttp.ClientConnectorDNSError(KEY, NoAllowedAddress("inside")), Failure.INNER),
        (InvalidToken(), Failure.SECRET),
        (ValueError("odd"), Failure.OTHER),
    ],
)
def test_each_problem_has_a_reason(problem: Exception, failure: Failure) -> None:
    assert failure_of(problem) == failure
