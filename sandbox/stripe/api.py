"""The `/v1` API: one request from its bytes to its answer.

Who (401) → which version (400) → what the key may (403) → which idempotency key (400, 409, replay)
→ which endpoint (404) → which parameters (400) → the operation and its answer, in one transaction.
"""

import asyncio
import base64
import binascii
import hmac
import logging
import re
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.stripe import calls, forms, idempotency, permissions
from sandbox.stripe.box import API_VERSION, Box, Cause
from sandbox.stripe.errors import (
    InternalError,
    InvalidParameter,
    InvalidRequest,
    RateLimited,
    StripeError,
    Unauthenticated,
)
from sandbox.stripe.expand import expand
from sandbox.stripe.ids import new_id
from sandbox.stripe.operation import Call, Operation
from sandbox.stripe.params import refuse_unemulated, validate
from sandbox.stripe.router import find_operation
from sandbox.stripe.store import JsonObject

_LOG = logging.getLogger("sandbox.stripe")
_VERSION = re.compile(r"^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$")
_FORM = "application/x-www-form-urlencoded"

_TROUBLE = "Sorry, there was an unexpected error. The sandbox was told to fail."

# Far above any form that the parameters' own limits allow.
_MAX_BODY = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: JsonObject
    # The first request under the same idempotency key, if this is its answer.
    replay_of: str | None = None


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A request as it came, read to its end."""

    method: str
    path: str
    query: str
    body: bytes
    content_type: str
    authorization: str
    version: str
    idempotency_key: str | None
    request_id: str


class Api:
    """An ASGI endpoint for everything under `/v1`."""

    def __init__(self, box: Box) -> None:
        self.box = box

    async def __call__(self, request: Request) -> Response:
        incoming = await _read(request)
        answer = await self._answer(incoming)
        self._log(incoming, answer)
        headers = {
            "Request-Id": incoming.request_id,
            "Stripe-Version": incoming.version,
            "Cache-Control": "no-cache, no-store",
        }
        if incoming.idempotency_key:
            headers["Idempotency-Key"] = incoming.idempotency_key
        if answer.replay_of:
            headers["Idempotent-Replayed"] = "true"
            headers["Original-Request"] = answer.replay_of
        if answer.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
        if answer.status == 409:
            # Tells the SDKs that the same request may be sent again.
            headers["Stripe-Should-Retry"] = "true"
        return JSONResponse(answer.body, answer.status, headers)

    async def _answer(self, incoming: Incoming) -> Answer:
        try:
            self._authenticate(incoming.authorization)
            if not _VERSION.match(incoming.version):
                raise InvalidRequest(f"Invalid Stripe API version: {incoming.version[:100]}")
            permissions.check_call(self.box.store, incoming.method, incoming.path)
            return await self._execute(incoming)
        except StripeError as error:
            return self._refusal(error, incoming)
        except Exception:  # noqa: BLE001  Stripe answers its own failures in its envelope too
            return self._refusal(self._own_failure(incoming), incoming)

    def _own_failure(self, incoming: Incoming) -> InternalError:
        _LOG.exception("%s %s failed", incoming.method, incoming.path)
        return InternalError("The sandbox failed on this request; its log says why.")

    def _authenticate(self, header: str) -> None:
        given = _key(header)
        if not given:
            raise Unauthenticated(
                "You did not provide an API key. You need to provide your API key in the "
                "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                "YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details."
            )
        if not hmac.compare_digest(given.encode(), self.box.config.api_key.encode()):
            raise Unauthenticated(f"Invalid API Key provided: {_masked(given)}")

    async def _execute(self, incoming: Incoming) -> Answer:
        params = _params(incoming)
        if self.box.failures.strike(incoming.method, incoming.path, "at_the_door"):
            raise RateLimited("Request rate limit exceeded.", code="rate_limit")
        key = incoming.idempotency_key if incoming.method == "POST" else None
        if key is not None:
            kept = idempotency.claim(
                self.box.store,
                key,
                path=incoming.path,
                params=params,
                request_id=incoming.request_id,
                now=self.box.clock.now(),
            )
            if kept:
                return Answer(status=kept.status, body=kept.body, replay_of=kept.request_id)
        try:
            await self._linger(incoming, "before")
            answer = self._run(incoming, params, key)
        finally:
            # Whatever was not answered under the key gives it back.
            if key is not None:
                idempotency.release(self.box.store, key)
        await self._linger(incoming, "after")
        return answer

    async def _linger(self, incoming: Incoming, when: Literal["before", "after"]) -> None:
        seconds = self.box.latency.of(incoming.method, incoming.path, when)
        if seconds:
            await asyncio.sleep(seconds)

    def _run(self, incoming: Incoming, params: forms.Params, key: str | None) -> Answer:
        if self.box.failures.strike(incoming.method, incoming.path, "before"):
            return self._keep(InternalError(_TROUBLE), incoming, key)
        operation, path_params = find_operation(incoming.method, incoming.path)
        typed = validate(operation.params, params)
        refuse_unemulated(typed, operation.emulated)
        call = Call(
            box=self.box,
            path_params=path_params,
            params=typed,
            cause=Cause(request_id=incoming.request_id, idempotency_key=key),
            path=incoming.path,
        )
        try:
            with self.box.store.transaction():
                answer = self._answer_to(operation, call, incoming)
                if key is not None:
                    idempotency.answer(self.box.store, key, status=answer.status, body=answer.body)
        except StripeError as error:
            return self._keep(error, incoming, key)
        except Exception:  # noqa: BLE001  What ran and failed is kept under its key, too
            return self._keep(self._own_failure(incoming), incoming, key)
        if self.box.failures.strike(incoming.method, incoming.path, "after"):
            return self._keep(InternalError(_TROUBLE), incoming, key)
        return answer

    def _keep(self, error: StripeError, incoming: Incoming, key: str | None) -> Answer:
        """Return a refusal, kept under its idempotency key if Stripe would keep it."""
        refusal = self._refusal(error, incoming)
        if key is not None and error.is_kept:
            idempotency.answer(self.box.store, key, status=refusal.status, body=refusal.body)
        return refusal

    def _answer_to(self, operation: Operation, call: Call, incoming: Incoming) -> Answer:
        """Run an operation. An error that has effects is an answer, and they are committed."""
        try:
            body = operation.run(call)
        except StripeError as error:
            if not error.has_effects:
                raise
            return self._refusal(error, incoming)
        expand(self.box, body, call.params.get("expand", []))
        return Answer(status=200, body=body)

    def _refusal(self, error: StripeError, incoming: Incoming) -> Answer:
        log_url = f"{self.box.config.public_url.rstrip('/')}/sandbox/#{incoming.request_id}"
        return Answer(status=error.status, body=error.envelope(log_url))

    def _log(self, incoming: Incoming, answer: Answer) -> None:
        error = answer.body.get("error", {}) if answer.status >= 400 else {}
        calls.record(
            self.box.store,
            request_id=incoming.request_id,
            at=self.box.clock.now(),
            method=incoming.method,
            path=incoming.path,
            status=answer.status,
            idempotency_key=incoming.idempotency_key,
            error=error.get("message"),
        )


async def _read(request: Request) -> Incoming:
    body = b""
    async for chunk in request.stream():
        # Past the limit the rest is read and forgotten, so that the client hears the answer.
        body = (body + chunk)[: _MAX_BODY + 1]
    headers = request.headers
    return Incoming(
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        body=body,
        content_type=headers.get("content-type", ""),
        authorization=headers.get("authorization", ""),
        version=headers.get("stripe-version", API_VERSION),
        idempotency_key=headers.get("idempotency-key"),
        request_id=new_id("request"),
    )


def _params(incoming: Incoming) -> forms.Params:
    if incoming.method != "POST":
        return forms.parse(incoming.query)
    if len(incoming.body) > _MAX_BODY:
        raise InvalidParameter("The request is too large.")
    if incoming.body and not incoming.content_type.startswith(_FORM):
        raise InvalidParameter(
            f"Invalid request (check that your POST content type is {_FORM}). If you have any "
            "questions, we can help at https://support.stripe.com/."
        )
    try:
        text = incoming.body.decode()
    except UnicodeDecodeError as error:
        raise InvalidParameter("Invalid UTF-8 in the request body.") from error
    return forms.parse("&".join(part for part in (incoming.query, text) if part))


def _key(header: str) -> str:
    """Return the API key of a Bearer or Basic header; empty if there is none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _masked(key: str) -> str:
    """Return a key that a log may show."""
    return f"{key[:8]}{'*' * 12}{key[-4:]}" if len(key) > 16 else "*" * 12
