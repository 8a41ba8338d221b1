"""Why a delivery had no answer: the reason, of those that customers read, for an exception."""

import errno
import os
import socket

import aiohttp

from billing.exceptions import WebhookUnfit
from billing.models import WebhookDelivery
from common.encryption import InvalidToken
from common.outside import NoAllowedAddress

Failure = WebhookDelivery.Failure
# The first that fits, so what is narrower stands first.
BY_EXCEPTION: tuple[tuple[type[BaseException], Failure], ...] = (
    (InvalidToken, Failure.SECRET),
    (WebhookUnfit, Failure.ADDRESS),
    (NoAllowedAddress, Failure.INNER),
    (socket.gaierror, Failure.NAME),
    (aiohttp.ClientSSLError, Failure.TLS),
    (ConnectionRefusedError, Failure.REFUSED),
    (TimeoutError, Failure.TIMEOUT),
    (ConnectionError, Failure.BROKEN),
    (aiohttp.ServerDisconnectedError, Failure.BROKEN),
    (aiohttp.ClientPayloadError, Failure.BROKEN),
    (aiohttp.ClientResponseError, Failure.NO_HTTP),
)
UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH}


def failure_of(problem: BaseException) -> Failure:
    """Return the reason that customers read for what went wrong."""
    fault = getattr(problem, "os_error", problem)
    if getattr(fault, "errno", None) in UNREACHABLE:
        return Failure.UNREACHABLE
    for kind, failure in BY_EXCEPTION:
        if isinstance(problem, kind) or isinstance(fault, kind):
            return failure
    return Failure.OTHER


def words_of(problem: BaseException) -> str:
    """Return what went wrong in the system's words, without its numbers; empty if it has none."""
    fault = getattr(problem, "os_error", problem)
    number = getattr(fault, "errno", None)
    # Those of names that are not found are below zero, and have their own words.
    if number and number > 0:
        return os.strerror(number)
    return getattr(fault, "strerror", None) or str(fault)
