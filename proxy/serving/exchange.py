"""The life of a request to a model: admit, send upstream, answer, settle.

Every way out of here ends the hold. What was admitted and not served is voided; a client that
left pays for the prompt that an upstream was given; whole answers are charged as reported.
"""

from django.http import HttpResponse, HttpResponseBase

from billing.wallet.usage import Settlement
from proxy.errors import (
    ApiError,
    UpstreamNotReached,
    UpstreamRefused,
    is_client_gone,
    is_upstreams_fault,
)
from proxy.http.connection import ClientConnection
from proxy.metering.answers import JsonAnswer
from proxy.parsing.request import ModelRequest
from proxy.serving.admission import Admission, admit
from proxy.serving.endings import Outcome, settle_answer, settle_nothing, settle_prompt
from proxy.serving.endpoints import Endpoint
from proxy.serving.keys import KeyFacts
from proxy.serving.relay import Relay
from proxy.serving.replay.recorder import Recorder
from proxy.serving.runtime import Runtime
from proxy.upstreams.attempts import open_answer
from proxy.upstreams.catalogue import Model, UpstreamRoute
from proxy.upstreams.client import UpstreamAnswer

JSON = "application/json"


async def serve(
    runtime: Runtime,
    connection: ClientConnection,
    key: KeyFacts,
    request: ModelRequest,
    *,
    endpoint: Endpoint,
    recorder: Recorder,
) -> HttpResponseBase:
    """Serve one request. A stream is sent from here; the response then is a mere token of it.

    Raises the ApiError, WalletError or UpstreamError that the client is to be told of.
    """
    model = await runtime.catalogue.get_model(request.model)
    admission = await admit(runtime, connection, key, request, endpoint=endpoint, model=model)
    # Made first: it knows whether the call outlives its client, who may have left already.
    exchange = Exchange(
        runtime, admission, request, endpoint=endpoint, model=model, recorder=recorder
    )
    with runtime.inflight.track(admission.call):
        return await exchange.run()


class Exchange:
    """One admitted request on its way."""

    def __init__(
        self,
        runtime: Runtime,
        admission: Admission,
        request: ModelRequest,
        *,
        endpoint: Endpoint,
        model: Model,
        recorder: Recorder,
    ) -> None:
        self._runtime = runtime
        self._settler = runtime.settler
        self._admission = admission
        self._call = admission.call
        self._endpoint = endpoint
        self._request = request
        self._model = model
        self._recorder = recorder
        self._call.progress = self._no_progress
        self._call.outlives_client = recorder.is_recording
        recorder.on_awaited = self._call.on_awaited
        if not request.stream:
            self._call.on_left = recorder.on_client_left

    async def run(self) -> HttpResponseBase:
        """Serve the request and end its hold, whatever happens."""
        try:
            answer = await open_answer(
                self._call,
                self._model,
                self._runtime.upstream,
                path=self._endpoint.path,
                body_for=self._body_for,
            )
        except BaseException as error:
            await self._end_unserved(error, is_accepted=self._may_have_run(error))
            raise
        try:
            if self._request.stream:
                return await self._relay(answer).run()
            return await self._answer(answer)
        finally:
            await answer.close()

    async def _answer(self, answer: UpstreamAnswer) -> HttpResponse:
        """Wait for a whole answer, settle it, and give it back with its charge."""
        try:
            with self._call.interruptible():
                body = await answer.read()
            metered = self._endpoint.meter_json(body, self._request)
            settlement = await self._settlement(metered)
        except BaseException as error:
            if is_upstreams_fault(error):
                answer.note_broken(type(error).__name__)
            await self._end_unserved(error, is_accepted=True)
            raise
        settled = await self._settler.settle(self._call.facts, settlement)
        headers = self._admission.headers
        if settled is not None:
            headers["x-tokenproxy-credits-charged"] = str(settled.charged_credits)
        if not metered.is_failed:
            self._recorder.add(metered.body)
            await self._recorder.keep({"content-type": JSON} | headers)
        return HttpResponse(metered.body, content_type=JSON, headers=headers)

    async def _settlement(self, metered: JsonAnswer) -> Settlement:
        """What a whole answer costs; one that failed, only what the upstream says it used."""
        outcome = Outcome.BROKEN if metered.is_failed else Outcome.COMPLETED
        if metered.is_failed and metered.reported is None:
            return settle_nothing(self._call, outcome=outcome)
        _, settlement = await settle_answer(
            self._call,
            metered,
            outcome=outcome,
            max_completion_tokens=self._max_completion_tokens,
        )
        return settlement

    def _relay(self, answer: UpstreamAnswer) -> Relay:
        return Relay(
            self._settler,
            self._call,
            self._endpoint.meter_stream(self._request),
            answer,
            max_completion_tokens=self._max_completion_tokens,
            headers=self._admission.headers,
            recorder=self._recorder,
        )

    def _body_for(self, route: UpstreamRoute) -> bytes:
        return self._request.upstream_body(
            model=route.upstream_model,
            max_tokens=self._admission.max_tokens,
            temperature=self._model.default_temperature,
        )

    @property
    def _max_completion_tokens(self) -> int:
        # Predictions that did not come true are billed as written, beside the maximum.
        most = self._admission.max_tokens + self._call.prompt.bound_prediction()
        return most * self._request.generations

    def _may_have_run(self, error: BaseException) -> bool:
        """Tell whether an upstream may have worked on a request that it never answered."""
        was_refused = isinstance(error, UpstreamNotReached | UpstreamRefused | ApiError)
        return self._call.may_have_run and not was_refused

    async def _no_progress(self) -> Settlement:
        # What a process that dies now has delivered: nothing, as far as anyone can know.
        return settle_nothing(self._call, outcome=Outcome.ABANDONED)

    async def _end_unserved(self, error: BaseException, *, is_accepted: bool) -> None:
        ending = self._unserved(error, is_accepted=is_accepted)
        if isinstance(error, Exception):
            await ending
        else:
            # The server cancels this task, and the next await of it too, perhaps.
            self._settler.spawn(ending)

    async def _unserved(self, error: BaseException, *, is_accepted: bool) -> None:
        """End the hold of a request of which the client got nothing."""
        facts = self._call.facts
        if is_client_gone(error) and self._call.may_have_run:
            await self._settler.settle(facts, await settle_prompt(self._call))
        elif is_accepted:
            nothing = settle_nothing(self._call, outcome=Outcome.BROKEN)
            await self._settler.settle(facts, nothing)
        else:
            await self._settler.void(facts)
