"""The life of a request to a model, from its key to its end.

Every way out of here ends the hold. What an ending settles, voids and tells the client is a table
in `endings.py`.
"""

from collections.abc import Callable

from django.http import HttpResponse, HttpResponseBase

from proxy.errors import UpstreamError, UpstreamRefused
from proxy.http.connection import ALREADY_SENT, ClientConnection
from proxy.metering.usage import Usage
from proxy.parsing.request import ModelRequest
from proxy.serving.admission import admit
from proxy.serving.call import Call
from proxy.serving.endings import end_answered, end_broken
from proxy.serving.endpoints import Endpoint
from proxy.serving.keys import KeyFacts
from proxy.serving.relay import relay
from proxy.serving.replay.recorder import Recorder
from proxy.serving.replay.recordings import Ticket
from proxy.serving.replay.retries import Repeat, find_kept
from proxy.serving.runtime import Runtime
from proxy.serving.settling import Settler
from proxy.upstreams.attempts import Attempts
from proxy.upstreams.client import UpstreamAnswer

JSON = "application/json"


async def serve(
    runtime: Runtime,
    connection: ClientConnection,
    key: KeyFacts,
    request: ModelRequest,
    *,
    endpoint: Endpoint,
    repeat: Repeat,
    body: bytes,
    is_precounted: bool = False,
    on_admitted: Callable[[], None],
) -> HttpResponseBase:
    """Serve a request. Its answer is sent from here, and the response is ALREADY_SENT.

    `is_precounted` if it was counted among the requests per minute already. `on_admitted` is called
    once its hold is placed.
    Raises the ApiError, WalletError, UpstreamError or Interrupted to answer the client with.
    """
    ticket = Ticket(key.wallet_id, key.api_key_id, endpoint.name, repeat.idempotency_key, body)
    with Recorder(runtime.recordings, ticket, connection.request_id, runtime.settler) as recorder:
        kept = await find_kept(
            runtime,
            connection,
            key,
            repeat,
            recorder,
            is_stream=request.stream,
            is_precounted=is_precounted,
        )
        if kept is not None:
            return kept
        model = await runtime.catalogue.get_model(request.model)
        admission = await admit(
            runtime,
            connection,
            key,
            request,
            endpoint=endpoint,
            model=model,
            is_precounted=is_precounted,
        )
        on_admitted()
        call = Call(admission, connection, recorder, runtime.work)
        with runtime.inflight.track(call):
            try:
                return await _answer(runtime, call, endpoint, recorder, body)
            except BaseException as error:  # noqa: BLE001  # whatever it is, the hold is ended
                return await end_broken(call, runtime.settler, error)


async def _answer(
    runtime: Runtime, call: Call, endpoint: Endpoint, recorder: Recorder, body: bytes
) -> HttpResponseBase:
    """Ask one upstream after the other until one's answer is passed on to the client.

    Raises what broke an answer, Interrupted, the last UpstreamError, or an ApiError if the client
    is at fault.
    """
    admission = call.admission
    attempts = Attempts(
        runtime.upstreams,
        admission.routes,
        model_name=admission.model.name,
        path=endpoint.path,
        request_id=call.facts.request_id,
    )
    with attempts:
        while True:
            attempt = await attempts.next()
            admission.tell_ignored(attempt.route)
            try:
                with call.asking(attempt):
                    # Not under a name, which would keep it until the answer has ended.
                    answer = await attempts.send(attempt, await call.body_for(attempt.route))
                async with answer:
                    return await _pass_on(runtime, call, answer, endpoint, recorder)
            except UpstreamError as error:
                if call.has_answer:
                    raise
                attempts.failed(attempt, error, sent=body)
                if call.is_noted:
                    runtime.journal.refused(call.facts, admission.held_credits)


async def _pass_on(
    runtime: Runtime,
    call: Call,
    answer: UpstreamAnswer,
    endpoint: Endpoint,
    recorder: Recorder,
) -> HttpResponseBase:
    """Pass an answer on to the client. Raises what broke it, UpstreamRefused if it is an error."""
    request, settler = call.admission.request, runtime.settler
    try:
        if request.stream:
            meter = endpoint.meter_stream(request, call.label)
            return await relay(call, answer, meter, settler=settler, recorder=recorder)
        return await _answer_whole(call, answer, endpoint, settler=settler, recorder=recorder)
    except UpstreamRefused:
        if call.refused():
            # It is judged like a refusal by its status, and has not ended as an answer.
            answer.on_ended = None
        raise


async def _answer_whole(
    call: Call,
    answer: UpstreamAnswer,
    endpoint: Endpoint,
    *,
    settler: Settler,
    recorder: Recorder,
) -> HttpResponse:
    """Wait for an answer in one piece, have it settled, and send it with its charge."""
    with call.interruptible():
        body = await answer.read()
    metered = endpoint.meter_json(body, call.admission.request, call.label)

    async def send(usage: Usage, charged_credits: int | None) -> None:
        headers = {"content-type": JSON, **call.admission.headers}
        if charged_credits is not None:
            headers["x-tokenproxy-credits-charged"] = str(charged_credits)
        written = metered.write(usage)
        await recorder.keep(headers, written)
        await call.connection.answer(headers, written)

    await end_answered(call, settler, metered, send)
    return ALREADY_SENT
